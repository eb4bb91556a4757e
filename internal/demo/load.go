package demo

import (
	"context"
	"errors"

	"tintype/internal/nbd/nbdclient"
	"tintype/internal/witness"
)

// streams is how many connections write at once.
const streams = 4

// load is a witness that is writing over NBD.
type load struct {
	cancel context.CancelFunc
	done   chan error
	conns  []*nbdclient.Client
}

// startLoad begins a log of the disk behind an NBD URI and writes to it until stop is called.
func startLoad(ctx context.Context, uri string, region witness.Region, rate witness.Load) (*load, *witness.Log, error) {
	l := &load{done: make(chan error, 1)}
	var targets []witness.Target
	for range streams {
		conn, err := nbdclient.Dial(ctx, uri)
		if err != nil {
			return nil, nil, errors.Join(err, l.close())
		}
		l.conns = append(l.conns, conn)
		targets = append(targets, conn)
	}
	log, err := witness.Begin(l.conns[0], region, streams, witnessSeed)
	if err != nil {
		return nil, nil, errors.Join(err, l.close())
	}
	ctx, l.cancel = context.WithCancel(ctx)
	go func() { l.done <- log.Run(ctx, targets, rate) }()
	return l, log, nil
}

// stop ends the writing, waits for the last answer, and returns the first write or flush that failed.
func (l *load) stop() error {
	l.cancel()
	return errors.Join(<-l.done, l.close())
}

func (l *load) close() error {
	var errs []error
	for _, c := range l.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
