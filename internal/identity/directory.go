package identity

import "tintype"

// Tenant is the organisation to which everything here belongs.
type Tenant struct {
	// ID is a GUID in lower case.
	ID   string
	Name string
}

// Subscription is one that the tenant has.
type Subscription struct {
	ID   tintype.SubscriptionID
	Name string
}
