package arm

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"tintype"
)

// Registrations say which resource providers a subscription may use; *identity.Service is the real one.
type Registrations interface {
	Registered(sub tintype.SubscriptionID, namespace string) bool
	Register(sub tintype.SubscriptionID, namespace string, registered bool) error
}

// registrationFree are the providers that every subscription has, and that cannot be unregistered: what is done without them
// could not be undone.
func registrationFree() []string {
	return []string{resourcesNamespace, authorizationNamespace, insightsNamespace, "Microsoft.CostManagement", "Microsoft.Consumption", "Tintype.Store"}
}

func isRegistrationFree(namespace string) bool {
	return slices.ContainsFunc(registrationFree(), func(n string) bool { return strings.EqualFold(n, namespace) })
}

// registered tells whether the subscription, "" for none, may use the provider.
func (rt *Router) registered(subscription, namespace string) bool {
	if rt.opt.Registrations == nil || subscription == "" || isRegistrationFree(namespace) {
		return true
	}
	sub, err := tintype.ParseSubscriptionID(subscription)
	return err != nil || rt.opt.Registrations.Registered(sub, namespace)
}

// checkRegistered refuses what would make a resource of a provider that the subscription may not use.
func (rt *Router) checkRegistered(m *route, c *Call) error {
	if rt.registered(c.ID.Subscription, m.typ.Namespace) {
		return nil
	}
	return gateway(http.StatusConflict, "MissingSubscriptionRegistration",
		"The subscription is not registered to use namespace '%s'. See https://aka.ms/rps-not-found for how to register subscriptions.", m.typ.Namespace)
}

// mayMake tells whether the route's requests may make resources of its provider: a PUT, or a POST whose handler asks Call.makes.
func (rt *route) mayMake() bool {
	return rt.op.Method == http.MethodPut || rt.op.Method == http.MethodPost && !isRegistrationFree(rt.typ.Namespace)
}

// register answers with the provider as it is then.
func (rt *Router) register(ctx context.Context, c *Call) (Response, error) {
	return rt.setRegistered(ctx, c, true)
}

// unregister refuses a provider of which the subscription has resources.
func (rt *Router) unregister(ctx context.Context, c *Call) (Response, error) {
	namespace := c.Param("namespace")
	if isRegistrationFree(namespace) {
		return Response{}, gateway(http.StatusBadRequest, "RegistrationFreeProvider", "The resource provider '%s' needs no registration, and cannot be unregistered.", clip(namespace))
	}
	if !rt.registered(c.ID.Subscription, namespace) {
		return rt.getProvider(ctx, c)
	}
	if err := rt.unused(ctx, c, namespace); err != nil {
		return Response{}, err
	}
	out, err := rt.setRegistered(ctx, c, false)
	if err != nil {
		return Response{}, err
	}
	// What was let in before that may have made something since the first look.
	err = rt.making.wait(ctx, c.ID.Subscription, namespace)
	if err == nil {
		err = rt.unused(ctx, c, namespace)
	}
	if err != nil {
		_, undone := rt.setRegistered(ctx, c, true)
		return Response{}, errors.Join(err, undone)
	}
	return out, nil
}

// unused refuses a provider of which the subscription has resources.
func (rt *Router) unused(ctx context.Context, c *Call, namespace string) error {
	list := &Call{ID: ID{Subscription: c.ID.Subscription}, Principal: c.Principal}
	for after := ""; ; {
		page, next, err := rt.resourcePage(ctx, list, after)
		if err != nil {
			return err
		}
		for _, r := range page {
			if of, _, _ := strings.Cut(r.Type, "/"); strings.EqualFold(of, namespace) {
				return gateway(http.StatusConflict, "SubscriptionNotAllowedToUnregister",
					"The resource provider '%s' cannot be unregistered: the subscription has resources of it.", of)
			}
		}
		if after = next; after == "" {
			return nil
		}
	}
}

func (rt *Router) setRegistered(ctx context.Context, c *Call, registered bool) (Response, error) {
	for _, p := range rt.providers(c.ID.Subscription) {
		if strings.EqualFold(p.Namespace, c.Param("namespace")) && rt.opt.Registrations != nil && !isRegistrationFree(p.Namespace) {
			if err := rt.opt.Registrations.Register(c.subscription(), p.Namespace, registered); err != nil {
				return Response{}, err
			}
		}
	}
	return rt.getProvider(ctx, c)
}
