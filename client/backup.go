package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Backup writes a copy of the whole state to w, as an archive that proves itself when it is unpacked. It takes
// as long as there is much of it, so ctx needs no deadline. After an error what was written is of no use.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+base+"/admin/backup", nil)
	if err != nil {
		return err
	}
	req.Header = c.header.Clone()
	resp, err := c.http.Do(req)
	if err != nil {
		return unreached(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("the answer of the backup broke off: %w", err)
		}
		return errorOf(resp, text)
	}
	target := &writing{w: w}
	if _, err := io.Copy(target, resp.Body); err != nil {
		if target.err != nil {
			return target.err
		}
		return fmt.Errorf("the backup broke off, what came of it is not the whole: %w", err)
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
