module confstream.dev/bench/viper
