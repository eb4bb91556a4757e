package identity

import (
	"slices"
	"strings"

	"tintype"
)

// Registered tells whether the subscription may use the resource provider. Each is registered until it is unregistered.
func (s *Service) Registered(sub tintype.SubscriptionID, namespace string) bool {
	for _, one := range s.directory().Subscriptions {
		if one.ID == sub {
			return !slices.Contains(one.Unregistered, strings.ToLower(namespace))
		}
	}
	return true
}

// Register registers a resource provider for the subscription, or unregisters it. The caller has checked that there is such a
// provider, and that nothing of it is in use.
func (s *Service) Register(sub tintype.SubscriptionID, namespace string, registered bool) error {
	namespace = strings.ToLower(namespace)
	if s.Registered(sub, namespace) == registered {
		return nil
	}
	return s.change(func(d *directory) error {
		d.Subscriptions = slices.Clone(d.Subscriptions)
		for i := range d.Subscriptions {
			one := &d.Subscriptions[i]
			if one.ID != sub {
				continue
			}
			if registered {
				one.Unregistered = slices.DeleteFunc(slices.Clone(one.Unregistered), func(n string) bool { return n == namespace })
			} else {
				one.Unregistered = append(slices.Clone(one.Unregistered), namespace)
			}
		}
		return nil
	})
}
