package certs

import (
	"context"
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger lets certmagic write into the log of the node. What it says about each step is for those who debug; that
// a certificate was obtained is news.
func zapLogger(log *slog.Logger) *zap.Logger {
	return zap.New(bridge{log.With("part", "acme"), nil})
}

type bridge struct {
	log    *slog.Logger
	fields []zapcore.Field
}

// Enabled implements zapcore.Core. Details below information hold what was sent to the authority.
func (bridge) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

// With implements zapcore.Core.
func (b bridge) With(fields []zapcore.Field) zapcore.Core {
	return bridge{b.log, append(b.fields[:len(b.fields):len(b.fields)], fields...)}
}

// Check implements zapcore.Core.
func (b bridge) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return to.AddCore(e, b)
	}
	return to
}

// Write implements zapcore.Core.
func (b bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	level := slog.LevelDebug
	switch {
	case e.Message == "tls-alpn challenge": // anybody can bring it about
	case e.Level >= zapcore.ErrorLevel:
		level = slog.LevelError
	case e.Level == zapcore.WarnLevel:
		level = slog.LevelWarn
	case strings.HasSuffix(e.Message, "successfully"):
		level = slog.LevelInfo
	}
	values := zapcore.NewMapObjectEncoder()
	var attrs []slog.Attr
	for _, f := range append(b.fields[:len(b.fields):len(b.fields)], fields...) {
		f.AddTo(values)
		if v, ok := values.Fields[f.Key]; ok {
			attrs = append(attrs, slog.Any(f.Key, v))
		}
	}
	b.log.LogAttrs(context.Background(), level, e.Message, attrs...)
	return nil
}

// Sync implements zapcore.Core.
func (bridge) Sync() error { return nil }
