// Reads each NAME.type and NAME.body of a folder with Go's mime/multipart, and writes NAME.go: the parts as
// compare.py wants them, or "error".
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"os"
	"path/filepath"
	"strings"
)

func parts(kind string, body []byte) ([][]any, error) {
	_, params, err := mime.ParseMediaType(kind)
	if err != nil {
		return nil, err
	}
	found := [][]any{}
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		// FileName() keeps the last element of a path only; the parameter is what was written.
		_, disposition, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
		if err != nil {
			return nil, err
		}
		var file any
		if name, given := disposition["filename"]; given {
			file = name
		}
		found = append(found, []any{part.FormName(), file, base64.StdEncoding.EncodeToString(content)})
	}
}

func main() {
	types, _ := filepath.Glob(filepath.Join(os.Args[1], "*.type"))
	for _, path := range types {
		stem := strings.TrimSuffix(path, ".type")
		kind, _ := os.ReadFile(path)
		body, _ := os.ReadFile(stem + ".body")
		found, err := parts(string(kind), body)
		text := []byte(`"error"`)
		if err == nil {
			text, _ = json.Marshal(found)
		}
		os.WriteFile(stem+".go", text, 0o600)
	}
}
