package e2e

import "testing"

// TestAzureProviders has the real az unregister a resource provider, which it registers again by itself where it meets the refusal.
func TestAzureProviders(t *testing.T) {
	need(t, "az")
	s := start(t, t.TempDir())
	term := openAz(t, s)
	term.must("az group create -g one -l westus2 -o none")
	state := func(want string) {
		t.Helper()
		if got := term.must("az provider show -n Microsoft.ManagedIdentity --query registrationState -o tsv"); got != want {
			t.Errorf("the provider is %s, want %s", got, want)
		}
	}
	state("Registered")
	term.must("az provider unregister -n Microsoft.ManagedIdentity --wait")
	state("Unregistered")
	term.must("az identity create -g one -n worker -o none")
	state("Registered")
	term.mustFail("az provider unregister -n Microsoft.ManagedIdentity", "cannot be unregistered")
	term.must("az identity delete -g one -n worker")
	term.must("az provider unregister -n Microsoft.ManagedIdentity --wait")
	term.must("az provider register -n Microsoft.ManagedIdentity --wait")
	state("Registered")
}
