package values_test

import (
	"fmt"
	"strings"
	"testing"

	"confstream.dev/go/values"
)

type settings struct {
	Greeting string `json:"greeting" yaml:"greeting"`
	Limit    int    `json:"limit" yaml:"limit"`
}

func TestContentIsParsedAsTheNameHasIt(t *testing.T) {
	for name, content := range map[string]string{
		"a.json":     `{"greeting": "hello", "limit": 3, "other": 1}`,
		"dir/b.yaml": "greeting: hello\nlimit: 3\nother: 1\n",
		"c.yml":      "---\n{greeting: hello, limit: 3}\n",
	} {
		var got settings
		if err := values.Decode(name, []byte(content), &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := (settings{"hello", 3}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestWhatIsWrongIsSaidWithTheFilesName(t *testing.T) {
	for _, test := range []struct{ name, content, message string }{
		{"a.json", `{"greeting": 1}`, "string"},
		{"a.json", `{`, "unexpected EOF"},
		{"a.json", ``, "empty"},
		{"a.json", `{} {}`, "more than one document"},
		{"a.json", `{} ]`, "after the document"},
		{"a.yaml", "limit: many", "into int"},
		{"a.yaml", "", "empty"},
		{"a.yaml", "limit: 1\n---\nlimit: 2\n", "more than one document"},
		{"a.toml", "limit = 1", ".json"},
	} {
		err := values.Decode(test.name, []byte(test.content), new(settings))
		if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(err.Error(), test.name) {
			t.Errorf("%s with %q: %v", test.name, test.content, err)
		}
	}
}

func TestUnknownNamesAreErrorsOnlyIfStrict(t *testing.T) {
	for name, content := range map[string]string{"a.json": `{"greting": "hi"}`, "a.yaml": "greting: hi\n"} {
		if err := values.Decode(name, []byte(content), new(settings)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := values.DecodeStrict(name, []byte(content), new(settings))
		if err == nil || !strings.Contains(err.Error(), "greting") {
			t.Errorf("%s, strictly: %v", name, err)
		}
	}
}

func ExampleDecode() {
	var settings struct {
		Greeting string `yaml:"greeting"`
	}
	content := []byte("greeting: hello\n") // that of a file of a snapshot
	if err := values.Decode("greeting.yaml", content, &settings); err != nil {
		fmt.Println(err)
	}
	fmt.Println(settings.Greeting)
	// Output: hello
}
