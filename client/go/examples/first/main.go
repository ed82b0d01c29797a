// Command first prints the files of a source, and then every change of them.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	confstream "confstream.dev/go"
)

func main() {
	client, err := confstream.Dial(os.Args[1]) // such as 127.0.0.1:50051
	if err != nil {
		log.Fatal(err)
	}
	watch, err := client.Watch(context.Background(), "demo")
	if err != nil {
		log.Fatal(err)
	}
	for change := range watch.Changes() {
		for file := range change.New.Files() {
			fmt.Printf("version %d: %s: %s\n", change.New.Version(), file.Path, file.Content)
		}
	}
	log.Fatal(watch.Err())
}
