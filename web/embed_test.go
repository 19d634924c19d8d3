package web

import (
	"io/fs"
	"testing"
)

func TestFilesMatchBuilt(t *testing.T) {
	t.Parallel()
	_, err := fs.Stat(Files(), "index.html")
	if got := err == nil; got != Built() {
		t.Fatalf("index.html present: %v, Built(): %v", got, Built())
	}
	if _, err := fs.Stat(Files(), ".keep"); err != nil {
		t.Fatalf("placeholder: %v", err)
	}
}
