// libyaml's parser as a source of events.

#ifndef CONFSTREAM_SERVER_VALIDATE_YAML_EVENTS_H_
#define CONFSTREAM_SERVER_VALIDATE_YAML_EVENTS_H_

#include <yaml.h>

#include <new>

#include "absl/strings/string_view.h"

namespace confstream {

// The parser keeps its state on the heap, so that no input makes it recur. Thread-compatible.
class YamlEvents {
 public:
  // `bytes` outlive the events.
  explicit YamlEvents(absl::string_view bytes) {
    if (yaml_parser_initialize(&parser_) == 0) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(bytes.data()),
                                 bytes.size());
  }
  ~YamlEvents() {
    yaml_event_delete(&event_);
    yaml_parser_delete(&parser_);
  }
  YamlEvents(const YamlEvents&) = delete;
  YamlEvents& operator=(const YamlEvents&) = delete;

  // Reads the next event, which replaces event(). False: error() says what is wrong.
  bool Next() {
    yaml_event_delete(&event_);
    return yaml_parser_parse(&parser_, &event_) != 0;
  }

  const yaml_event_t& event() const { return event_; }
  const yaml_parser_t& error() const { return parser_; }

 private:
  yaml_parser_t parser_{};
  yaml_event_t event_{};
};

// An anchor or tag; empty: there is none.
inline absl::string_view YamlText(const yaml_char_t* text) {
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);
}

}  // namespace confstream

#endif  // CONFSTREAM_SERVER_VALIDATE_YAML_EVENTS_H_
