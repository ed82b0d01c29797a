// Package values parses the files of a Confstream snapshot into a program's own types. It is a module of its own, so
// that the client itself depends on no parser, and knows no more of a snapshot than paths and bytes.
package values

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"go.yaml.in/yaml/v3"
)

// Decode parses content into what `into` points to, as the file's name has it: .json as JSON (encoding/json), .yaml and
// .yml as YAML (go.yaml.in/yaml/v3). The content is one document: none and a second one are errors. Names that `into` has
// no field for are ignored. Errors name the file; what `into` points to is then of no use.
func Decode(name string, content []byte, into any) error { return decode(name, content, into, false) }

// DecodeStrict is Decode, but names that `into` has no field for are errors.
func DecodeStrict(name string, content []byte, into any) error {
	return decode(name, content, into, true)
}

func decode(name string, content []byte, into any, strict bool) error {
	var err error
	switch path.Ext(name) {
	case ".json":
		decoder := json.NewDecoder(bytes.NewReader(content))
		if strict {
			decoder.DisallowUnknownFields()
		}
		err = one(decoder.Decode, into)
	case ".yaml", ".yml":
		decoder := yaml.NewDecoder(bytes.NewReader(content))
		decoder.KnownFields(strict)
		err = one(decoder.Decode, into)
	default:
		err = errors.New("its name ends in neither .json nor .yaml nor .yml")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// one decodes the only document.
func one(decode func(any) error, into any) error {
	err := decode(into)
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	} else if err != nil {
		return err
	}
	var more any
	if err := decode(&more); err == nil {
		return errors.New("it has more than one document")
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the document: %w", err)
	}
	return nil
}
