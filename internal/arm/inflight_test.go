package arm

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"tintype/internal/identity"
)

// TestMadeWhileUnregistering: who unregisters a provider waits for a PUT that was let in before, and finds what it has made.
func TestMadeWhileUnregistering(t *testing.T) {
	plain, groups := newRoleRouter(t)
	directory, err := identity.Open(identity.Options{Dir: t.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	opt := plain.opt
	opt.Identities, opt.Registrations = directory, registry{directory, directory.Subscriptions()[0].ID}
	types := IdentityTypes(directory, groups)
	inside, goOn := make(chan struct{}), make(chan struct{})
	for i := range types {
		for j := range types[i].Operations {
			op := &types[i].Operations[j]
			if do := op.Do; op.Method == http.MethodPut {
				op.Do = func(ctx context.Context, c *Call) (Response, error) {
					close(inside)
					<-goOn
					return do(ctx, c)
				}
			}
		}
	}
	opt.Types = append(opt.Types, types...)
	rt, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if w := as(t, rt, firstPrincipal, "PUT", groupPath+tagVersion, `{"location":"westus2"}`); w.Code != 201 {
		t.Fatal(w.Body)
	}
	one := groupPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker?api-version=2023-01-31"
	made, unregistered := make(chan int), make(chan int)
	go func() { made <- as(t, rt, firstPrincipal, "PUT", one, `{"location":"westus2"}`).Code }()
	<-inside
	go func() {
		unregistered <- as(t, rt, firstPrincipal, "POST", subPath+"/providers/Microsoft.ManagedIdentity/unregister"+tagVersion, "").Code
	}()
	for opt.Registrations.Registered(testSub, "Microsoft.ManagedIdentity") {
		select {
		case code := <-unregistered:
			t.Fatalf("unregistered while a PUT is under way: %d", code)
		case <-time.After(time.Millisecond):
		}
	}
	// From here on nothing new is let in, and what was is waited for.
	if w := as(t, rt, firstPrincipal, "PUT", one+"&x=2", `{"location":"westus2"}`); w.Code != 409 || errorCode(w) != "MissingSubscriptionRegistration" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(goOn)
	if code := <-made; code != 201 {
		t.Errorf("the PUT that was let in: %d", code)
	}
	if code := <-unregistered; code != 409 {
		t.Errorf("unregister: %d", code)
	}
	if !opt.Registrations.Registered(testSub, "Microsoft.ManagedIdentity") {
		t.Error("a provider of which there is something is unregistered")
	}
	// Who goes away does not wait, and leaves it registered.
	leave := rt.making.enter(testSub, "Microsoft.ManagedIdentity")
	defer leave()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rt.making.wait(ctx, testSub, "microsoft.managedidentity"); err == nil {
		t.Error("nobody is waited for")
	}
}
