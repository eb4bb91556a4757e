package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// freeAddress is a loopback address that nobody listened on a moment ago, and that is not given to anybody who takes any port: a server
// can come back to it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 20000+rand.IntN(12000))) // Linux gives away those from 32768 on
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

// TestNBDOverTCP reads an attached disk over TCP, which has to be asked for, with libnbd's own client.
func TestNBDOverTCP(t *testing.T) {
	need(t, "nbdcopy", "nbdinfo")
	address := freeAddress(t)
	s := start(t, t.TempDir(), "--nbd-listen", address)
	term := open(t, s)
	image := makeImage(t, 24*mib)
	term.must("tintype group create -n g -l westus2 -o none")
	term.must("tintype disk create -g g -n d --file " + image + " -o none")
	u, err := url.Parse(term.must("tintype disk attach -g g -n d"))
	if err != nil {
		t.Fatal(err)
	}
	remote := "nbd://" + address + u.Path
	if size := term.must("nbdinfo --size " + remote); size != "25165824" {
		t.Errorf("the export has %s bytes", size)
	}
	out := filepath.Join(t.TempDir(), "out.img")
	term.must("nbdcopy " + remote + " " + out)
	if fileSum(t, out) != fileSum(t, image) {
		t.Error("over TCP the disk is another one")
	}
	term.mustFail("nbdinfo nbd://"+address+"/nosuch", "")
}

// TestBlobDomain gives signed URLs on hosts of their own, md-….DOMAIN, as AzCopy wants them; certificates for these are
// made as they are asked for.
func TestBlobDomain(t *testing.T) {
	need(t, "curl", "qemu-img", "nbdcopy")
	s := start(t, t.TempDir(), "--blob-domain", "blob.test")
	term := open(t, s)
	image := makeImage(t, 1<<30)
	term.must("tintype group create -n g -l westus2 -o none")
	term.must("tintype disk create -g g -n d --size-gb 1 -o none")
	term.must("nbdcopy " + image + " " + term.must("tintype disk attach -g g -n d"))
	term.must("tintype disk detach -g g -n d")
	sas := term.must("tintype disk grant-access -g g -n d --duration-in-seconds 600 --query accessSas -o tsv")
	u, err := url.Parse(sas)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(u.Hostname(), "md-") || !strings.HasSuffix(u.Hostname(), ".blob.test") {
		t.Fatalf("the URL's host is %s", u.Host)
	}
	vhd := filepath.Join(t.TempDir(), "d.vhd")
	term.must("curl -sSf --resolve " + u.Host + ":127.0.0.1 -o " + vhd + " " + sas)
	acceptVHD(t, term, image, vhd)
}
