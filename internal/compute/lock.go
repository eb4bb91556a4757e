package compute

import (
	"context"
	"errors"
	"strings"

	"tintype"
	"tintype/internal/catalog"
)

// PutLock makes or replaces a lock; created tells which. Its scope must exist.
func (s *Service) PutLock(ctx context.Context, l tintype.Lock) (created bool, err error) {
	if err := l.Check(); err != nil {
		return false, err
	}
	err = s.update(ctx, func(tx *catalog.Tx) error {
		if err := scopeExists(tx, l.Scope); err != nil {
			return err
		}
		_, err := tx.Lock(l.ScopeKey(), l.Name)
		if created = errors.Is(err, catalog.ErrNotFound); err != nil && !created {
			return err
		}
		return tx.PutLock(l)
	})
	return created, edge(err)
}

// GetLock gives the lock of that name at the scope; LockNotFound when there is none.
func (s *Service) GetLock(ctx context.Context, scope, name string) (l tintype.Lock, err error) {
	err = s.catalog.View(ctx, func(tx *catalog.Tx) (err error) {
		l, err = tx.Lock(tintype.ScopeKey(scope), name)
		return absent(err, tintype.LockNotFound(name))
	})
	return l, edge(err)
}

// Locks lists the locks at the scope, and with below set also those below it, in the order of scopes and names.
func (s *Service) Locks(ctx context.Context, sub tintype.SubscriptionID, scope string, below bool) (found []tintype.Lock, err error) {
	at := tintype.ScopeKey(scope)
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		if err := scopeExists(tx, scope); err != nil {
			return err
		}
		all, err := tx.Locks(sub)
		for _, l := range all {
			if key := l.ScopeKey(); key == at || below && strings.HasPrefix(key, at+"/") {
				found = append(found, l)
			}
		}
		return err
	})
	return found, edge(err)
}

// DeleteLock removes the lock; ok is false when there is none.
func (s *Service) DeleteLock(ctx context.Context, scope, name string) (ok bool, err error) {
	err = s.update(ctx, func(tx *catalog.Tx) error {
		err := tx.DeleteLock(tintype.ScopeKey(scope), name)
		if ok = err == nil; errors.Is(err, catalog.ErrNotFound) {
			return nil
		}
		return err
	})
	return ok, edge(err)
}

// CheckLocks refuses, with ScopeLocked, a deletion that a lock forbids at the scope, above or below it, and any other
// change that a ReadOnly lock forbids at the scope or above it.
func (s *Service) CheckLocks(ctx context.Context, sub tintype.SubscriptionID, scope string, deletion bool) error {
	err := s.catalog.View(ctx, func(tx *catalog.Tx) error { return checkLocks(tx, sub, scope, deletion) })
	return edge(err)
}

func checkLocks(tx *catalog.Tx, sub tintype.SubscriptionID, scope string, deletion bool) error {
	at := tintype.ScopeKey(scope)
	operation := "write"
	if deletion {
		operation = "delete"
	}
	var locked []string
	all, err := tx.Locks(sub)
	if err != nil {
		return err
	}
	for _, l := range all {
		inherited := l.Covers(at) && (deletion || l.Level == tintype.ReadOnly)
		if inherited || deletion && strings.HasPrefix(l.ScopeKey(), at+"/") {
			locked = append(locked, l.Scope)
		}
	}
	if len(locked) > 0 {
		return tintype.ScopeLocked(scope, operation, locked)
	}
	return nil
}

// scopeExists refuses a scope that is no subscription, group or resource that exists.
func scopeExists(tx *catalog.Tx, scope string) error {
	part := strings.Split(strings.Trim(scope, "/"), "/")
	switch {
	case len(part) == 2:
		return nil
	case len(part) == 4:
		sub, err := tintype.ParseSubscriptionID(part[1])
		if err == nil {
			_, err = tx.Group(tintype.GroupKey(sub, part[3]))
			err = absent(err, tintype.GroupNotFound(part[3]))
		}
		return err
	}
	id, ok := tintype.ParseResourceID(scope)
	if !ok {
		return tintype.InvalidParameter("scope", "The scope '%.300s' is not that of a subscription, a resource group or a resource.", scope)
	}
	var err error
	if id.Kind.Volume() {
		_, err = tx.Volume(id.Key())
	} else {
		_, err = tx.Companion(id.Key())
	}
	return absent(err, id.NotFound())
}
