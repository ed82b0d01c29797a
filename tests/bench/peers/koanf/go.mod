module confstream.dev/bench/koanf
