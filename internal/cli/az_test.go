package cli

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tintype/internal/rig"
)

// TestSameAsAz gives the same command lines to the installed az and to tintype, on
// one server: the same output, the same words on standard error, the same exit code.
func TestSameAsAz(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the real server")
	}
	if _, err := exec.LookPath("az"); err != nil {
		t.Skip("the Azure CLI is not installed")
	}
	t.Parallel()
	r := startReal(t)
	shell, err := r.NewShell()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.LoginAz(t.Context(), shell); err != nil {
		t.Fatal(err)
	}
	id := r.must(t, "disk", "create", "-g", "g", "-n", "d", "--size-gb", "2", "--zone", "1", "--os-type", "Linux", "--tags", "a=b", "c", "--query", "id", "-o", "tsv")
	r.must(t, "disk", "create", "-g", "g", "-n", "e", "--size-gb", "1", "--sku", "Standard_LRS")
	r.must(t, "snapshot", "create", "-g", "g", "-n", "s", "--source", "d")
	for _, line := range []string{
		"group list -o table", "group show -n nope", "disk list -g g", "disk list -o table", "disk show -o tsv --ids " + id,
		"snapshot list -o table", "disk update -g g -n e --size-gb 3 --set tags.n=1 --query [diskSizeGb,tags,diskState]",
		"disk create -g g -n f --sku Standard_LRS --size-gb 0", "snapshot create -g g -n t --source nope", "disk delete -g g -n d",
	} {
		words := strings.Fields(line)
		want, err := shell.Run(t.Context(), "az", words...)
		wantCode, wantErr := 0, ""
		var failed *rig.CommandError
		if errors.As(err, &failed) {
			wantErr = failed.Stderr
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatal(err)
			}
			wantCode = exit.ExitCode()
		}
		got, gotErr, gotCode := r.run(t, words...)
		if diff := cmp.Diff(want, strings.TrimSuffix(got, "\n")); diff != "" {
			t.Errorf("%s: -az +tintype\n%s", line, diff)
		}
		if diff := cmp.Diff(wantErr, strings.TrimSpace(gotErr)); diff != "" {
			t.Errorf("%s: standard error, -az +tintype\n%s", line, diff)
		}
		if gotCode != wantCode {
			t.Errorf("%s: exit %d, az %d", line, gotCode, wantCode)
		}
	}
}
