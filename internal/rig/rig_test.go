package rig

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const script = `# a comment
export A='1'
export B='two words'

export C='it'\''s "quoted" $here'
export D=''
`

// TestSourceDoesWhatAShellDoes compares with the real one.
func TestSourceDoesWhatAShellDoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `. "$1"; exec env`, "sh", file)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		if line[1] == '=' {
			want = append(want, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(want)
	got, err := source(script)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 4 {
		t.Fatalf("want -, got +\n%s", diff)
	}
}

func TestSourceRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, bad := range []string{
		"export A=1", "export A=$HOME", "export A=`date`", "echo hello", "export A=\"$(date)\"", "export A='open",
		"export A='1'; rm x", "export A",
	} {
		if got, err := source(bad); err == nil {
			t.Errorf("%s is taken as %q", bad, got)
		}
	}
}

func TestRunReportsFailure(t *testing.T) {
	_, err := Run(t.Context(), "ls", "/does/not/exist")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(err.Error(), "No such file") {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, "sleep", "60"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
}

func TestStartReportsAServerThatEnds(t *testing.T) {
	_, err := Start(t.Context(), Options{Binary: "/bin/true", Data: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "before it was ready") {
		t.Fatalf("%v", err)
	}
}

func TestPrincipal(t *testing.T) {
	s := &Server{Data: t.TempDir()}
	if err := os.Mkdir(s.Client(), 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"tenant":"t","subscriptionId":"s","appId":"a","password":"p","resourceManager":"https://localhost:1"}`
	if err := os.WriteFile(filepath.Join(s.Client(), "principal.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Principal()
	want := Principal{AppID: "a", Password: "p", Tenant: "t", SubscriptionID: "s", ResourceManager: "https://localhost:1"}
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
}
