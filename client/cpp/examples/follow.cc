// Follows a source until a line is entered, and rejects what it cannot use:
//   follow ADDRESS SOURCE CACHE_DIRECTORY
// Each version is to have a file greeting.yaml with a `greeting`.
#include <confstream/client.h>
#include <confstream/yaml.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  confstream::WatchOptions options;
  options.source = argv[2];
  options.cache_directory = argv[3];
  options.on_change = [](const confstream::Change& change) {
    // What is thrown here rejects the version: confstreamd shows it to operators.
    const YAML::Node greeting = confstream::ParseYaml(*change.snapshot, "greeting.yaml");
    if (!greeting["greeting"]) {
      return confstream::Status(confstream::StatusCode::kInvalidArgument,
                                "greeting.yaml has no greeting");
    }
    std::cout << "version " << change.snapshot->version << ": "
              << greeting["greeting"].as<std::string>() << std::endl;
    return confstream::Status();
  };
  options.log = [](const confstream::Event& event) { std::cerr << event.message + "\n"; };

  confstream::Watch watch(confstream::Client(argv[1]), options);
  if (const auto [status, snapshot] = watch.Wait(std::chrono::seconds(10)); !status.ok()) {
    std::cerr << status.message() << "\n";
    return 1;
  }
  std::string line;
  std::getline(std::cin, line);
  return 0;
}
