package e2e

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAzCopy uploads a disk and downloads a snapshot with AzCopy. No Debian package has it: where it is not on the PATH
// this test is skipped, on CI as well.
func TestAzCopy(t *testing.T) {
	if _, err := exec.LookPath("azcopy"); err != nil {
		t.Skip("azcopy is not installed; it is built from its source")
	}
	need(t, "qemu-img")
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "md-a.localhost"); err != nil {
		t.Skipf("names below localhost are not resolved here (Debian: libnss-myhostname): %v", err)
	}
	term := open(t, start(t, t.TempDir(), "--blob-domain", "localhost"))
	dir := t.TempDir()
	term.Set("AZCOPY_LOG_LOCATION", dir)
	term.Set("AZCOPY_JOB_PLAN_LOCATION", dir)
	image := makeImage(t, 64*mib)
	local, back := filepath.Join(dir, "up.vhd"), filepath.Join(dir, "back.vhd")
	term.must("qemu-img convert -O vpc -o subformat=fixed,force_size " + image + " " + local)

	term.must("tintype group create -g copied -l westus2 -o none")
	term.must("tintype disk create -g copied -n up --upload-type Upload --upload-size-bytes 67109376 -o none")
	to := term.must("tintype disk grant-access -g copied -n up --access-level Write --duration-in-seconds 3600 --query accessSas -o tsv")
	job := interrupted(t, term, "azcopy copy "+local+" "+to+" --from-to LocalBlob --blob-type PageBlob --block-size-mb 1 --cap-mbps 5 --output-level quiet", dir)
	term.must("azcopy jobs resume " + job + " --destination-sas " + query(t, to))
	term.must("tintype disk revoke-access -g copied -n up")

	term.must("tintype snapshot create -g copied -n s --source up -o none")
	from := term.must("tintype snapshot grant-access -g copied -n s --duration-in-seconds 3600 --query accessSas -o tsv")
	term.must("azcopy copy " + from + " " + back + " --from-to BlobLocal")
	acceptVHD(t, term, image, back)
}

// interrupted starts a copy, stops it halfway as Control-C does, and gives the job's id.
func interrupted(t *testing.T, term *terminal, line, logs string) string {
	t.Helper()
	if _, err := term.try("timeout -s INT 8 " + line); err == nil {
		t.Fatal("the copy was not interrupted")
	}
	var found []string
	for deadline := time.Now().Add(time.Minute); len(found) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		found, _ = filepath.Glob(filepath.Join(logs, "????????-*[0-9a-f].log")) // a constant pattern is well formed
	}
	if len(found) != 1 {
		t.Fatalf("the jobs' logs: %v", found)
	}
	return strings.TrimSuffix(filepath.Base(found[0]), ".log")
}

func query(t *testing.T, url string) string {
	t.Helper()
	_, q, ok := strings.Cut(url, "?")
	if !ok {
		t.Fatalf("%s has no query", url)
	}
	return q
}
