package main

import (
	"context"
	"time"
)

const (
	// tokenKeyAge is for how long one key signs tokens, where nothing else is said.
	tokenKeyAge = 90 * 24 * time.Hour
	// tokenKeyLook is how often its age is looked at.
	tokenKeyLook = time.Hour
)

// openTokenKeys has the key that signs tokens replaced when it is old, until the server closes. One that cannot be is used on, and the
// log says so each time.
func (s *server) openTokenKeys(context.Context) error {
	stop, done := make(chan struct{}), make(chan struct{})
	s.onClose(func() error {
		close(stop)
		<-done
		return nil
	})
	go func() {
		defer close(done)
		tick := time.NewTicker(tokenKeyLook)
		defer tick.Stop()
		for {
			switch turned, err := s.identity.TurnKey(); {
			case err != nil:
				s.log.Error("the key that signs tokens is old, and could not be replaced", "error", err)
			case turned:
				s.log.Info("the key that signs tokens was replaced")
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	return nil
}
