package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
)

// newLogger writes JSON for programs and coloured lines for people.
func newLogger(w io.Writer, c Config) *slog.Logger {
	file, isFile := w.(*os.File)
	terminal := isFile && isatty.IsTerminal(file.Fd())
	if c.LogFormat == "text" || c.LogFormat != "json" && terminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: c.LogLevel, NoColor: !terminal, ReplaceAttr: redact}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: c.LogLevel, ReplaceAttr: redact}))
}
