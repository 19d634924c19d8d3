package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// readPassword takes one line of standard input.
func readPassword(r *runner) (string, error) {
	line, err := bufio.NewReader(r.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
