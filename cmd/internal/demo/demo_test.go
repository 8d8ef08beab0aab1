package demo

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestOnceEndsRight(t *testing.T) {
	var out bytes.Buffer
	err := Run(t.Context(), Options{Once: true, JSON: true, Out: &out, Log: hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Warn})})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	var s Summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.People != companySize || s.Joined != 5 || s.Moved != 4 || s.Left != 4 || len(s.Wrong) > 0 {
		t.Errorf("summary: %s", out.String())
	}
}
