package backup

import (
	"context"
	"time"
)

// Round does what Run does over and over.
func (k *Keeper) Round(ctx context.Context) time.Duration { return k.round(ctx) }
