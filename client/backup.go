package client

import (
	"context"
	"fmt"
	"io"
)

// Backup writes a copy of the whole state to w, as an archive that proves itself when it is unpacked. It takes
// as long as there is much of it, so ctx needs no deadline. After an error what was written is of no use.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.copyOf(ctx, "/admin/backup", w)
}

// CopyLog writes the log of the node that is asked to w.
func (c *Client) CopyLog(ctx context.Context, w io.Writer) error {
	return c.copyOf(ctx, "/admin/log", w)
}

func (c *Client) copyOf(ctx context.Context, path string, w io.Writer) error {
	answer, err := c.stream(ctx, base+path)
	if err != nil {
		return err
	}
	defer answer.Close()
	target := &writing{w: w}
	if _, err := io.Copy(target, answer); err != nil {
		if target.err != nil {
			return target.err
		}
		return fmt.Errorf("the copy broke off, what came of it is not the whole: %w", err)
	}
	return nil
}

// writing remembers an error of the writer, which says another thing than one of the connection.
type writing struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (w *writing) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}
