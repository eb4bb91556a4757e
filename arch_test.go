package tintype_test

// The house rules as a test. The import table is a statement of policy: when it fails, the code is wrong until
// ARCHITECTURE.md has been changed with a reason. TestRulesBite feeds every rule something that breaks it.

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module         = "tintype"
	maxFuncLines   = 100
	maxFileLines   = 700
	dependencyFile = "docs/decisions/dependencies.md"
)

// mayImport says which of our packages each package may import in code that is not a test. Data flows one way: front
// doors → domain → engine → files. A package that is not in the table has no place yet: give it one.
var mayImport = map[string][]string{
	// The nouns.
	".": {},

	// Files.
	"internal/vfs":           {},
	"internal/vfs/crashfs":   {"internal/vfs"},
	"internal/vfs/faultfs":   {"internal/vfs"},
	"internal/vfs/pebblefs":  {"internal/vfs"},
	"internal/vfs/scratchfs": {"internal/vfs"},
	"internal/vfs/timedfs":   {"internal/vfs"},
	"internal/vfs/vfstest":   {"internal/vfs"},

	// The machines: no names, owners, prices or HTTP.
	"internal/block":           {},
	"internal/block/blocktest": {"internal/block"},
	"internal/aesctr":          {},
	"internal/lsd":             {"internal/aesctr", "internal/block", "internal/vfs", "internal/vfs/pebblefs", "internal/vfs/scratchfs", "internal/vfs/timedfs"},
	"internal/sim":             {"internal/block", "internal/lsd", "internal/vfs", "internal/vfs/crashfs", "internal/vfs/faultfs", "internal/vfs/scratchfs"},
	"internal/vhd":             {},
	"internal/smallfile":       {},
	"internal/keys":            {"internal/smallfile"},
	"internal/records":         {"internal/smallfile"},
	"internal/template":        {},
	"internal/handclock":       {},

	// The domain.
	"internal/catalog": {"."},
	"internal/compute": {".", "internal/block", "internal/catalog", "internal/vhd"},
	"internal/meter":   {".", "internal/block", "internal/catalog"},
	"internal/vault":   {".", "internal/smallfile"},
	"internal/abac":    {},

	// The front doors: each knows one protocol.
	"internal/nbd":      {"internal/block"},
	"internal/vhost":    {"internal/block"},
	"internal/blob":     {"internal/block", "internal/vhd"},
	"internal/arm/wire": {},
	"internal/arm":      {".", "internal/arm/wire", "internal/audit", "internal/compute", "internal/identity", "internal/meter", "internal/rbac", "internal/vault"},
	"internal/keyvault": {"internal/identity", "internal/vault"},
	"internal/deploy":   {".", "internal/arm", "internal/catalog", "internal/identity", "internal/template"},
	"internal/identity": {".", "internal/smallfile"},
	"internal/rbac":     {".", "internal/abac", "internal/identity", "internal/smallfile"},
	"internal/audit":    {},
	"internal/graph":    {".", "internal/audit", "internal/identity"},
	"internal/imds":     {"internal/identity"},
	"internal/tlsca":    {"internal/smallfile"},

	// Tests alone: the whole server, held to recordings and to Azure's description.
	"internal/conformance": {},
	"internal/openapi":     {},

	// Clients: they have no second way in.
	"internal/nbd/nbdclient": {},
	"internal/transfer":      {"internal/vhd"},
	"internal/peer":          {".", "internal/arm/wire"},
	"internal/cli":           {"internal/transfer", "internal/vhd"},
	"internal/rig":           {},
	"internal/witness":       {},
	"internal/demo":          {"internal/nbd/nbdclient", "internal/rig", "internal/witness"},

	// The program wires them.
	"cmd/tintype": {
		".", "internal/arm", "internal/audit", "internal/blob", "internal/block", "internal/catalog", "internal/cli", "internal/compute",
		"internal/demo", "internal/deploy", "internal/graph", "internal/identity", "internal/imds", "internal/keys", "internal/keyvault", "internal/lsd", "internal/meter", "internal/nbd", "internal/peer", "internal/rbac", "internal/records", "internal/smallfile", "internal/tlsca", "internal/transfer", "internal/vault", "internal/vfs", "internal/vhost",
		"internal/vfs/scratchfs",
	},
	"e2e":         {},
	"e2e/vmguest": {},
	"bench":       {"internal/block", "internal/lsd", "internal/vfs"},
	"bench/peers": {
		".", "internal/block", "internal/catalog", "internal/keys", "internal/lsd", "internal/nbd", "internal/nbd/nbdclient", "internal/rig", "internal/vfs",
	},
}

// A ban forbids calls outside the folders listed with their reasons. Tests are free of it unless everywhere is set.
type ban struct {
	pkg        string   // import path
	names      []string // what of it; empty: the import itself
	why        string
	except     map[string]string // folder → reason
	everywhere bool
}

var bans = []ban{
	{
		pkg: "time", names: []string{"Now", "Since", "Until"}, why: "time is handed in as Now",
		except: map[string]string{
			"cmd":              "the only reader of the wall clock",
			"internal/demo":    "a client's story, told with elapsed times",
			"internal/rig":     "waits for another process",
			"internal/witness": "paces a load",
			"bench/peers":      "measures",
		},
	},
	{
		pkg: "os", why: "files are opened by vfs",
		names: []string{
			"Open", "OpenFile", "Create", "CreateTemp", "ReadFile", "WriteFile", "ReadDir", "DirFS", "OpenRoot",
			"Rename", "Remove", "RemoveAll", "Mkdir", "MkdirAll", "MkdirTemp", "Truncate", "Link", "Symlink", "Chmod",
		},
		except: map[string]string{
			"internal/vfs":       "the door to files",
			"cmd":                "makes DIR and takes its lock",
			"internal/identity":  "keys and principal.json",
			"internal/smallfile": "the small files of others",
			"internal/rbac":      "roles.json",
			"internal/records":   "copies of what SQLite and others wrote",
			"internal/imds":      "/proc: whose process is at the other end of a connection",
			"internal/vault":     "the file of vaults",
			"internal/tlsca":     "the CA's key and certificates",
			"internal/keys":      "key files, with their modes",
			"internal/cli":       "a client: the user's own files",
			"internal/transfer":  "a client: the user's own images",
			"internal/demo":      "a client: makes an image",
			"internal/rig":       "a client: starts a server in a folder",
			"internal/openapi":   "for tests: the description, and what servers recorded",
			"e2e/vmguest":        "the user space of a test's virtual machine",
			"bench/peers":        "the images and results of a measurement",
		},
	},
	{
		pkg: "os", names: []string{"Exit"}, why: "deferred clean-up never runs",
		except: map[string]string{"cmd": "main reports the exit code", "bench/peers": "main reports the exit code"}, everywhere: true,
	},
	{
		pkg: "fmt", names: []string{"Print", "Printf", "Println"}, why: "output is handed in as an io.Writer",
		except: map[string]string{"cmd": "the program's own output", "e2e/vmguest": "the console of a virtual machine"},
	},
	{pkg: "log", why: "a *slog.Logger is handed in, and nothing exits behind the caller's back", everywhere: true},
	{pkg: "io/ioutil", why: "deprecated", everywhere: true},
	{pkg: "github.com/stretchr/testify/assert", why: "tests use the standard library and go-cmp", everywhere: true},
	{pkg: "github.com/stretchr/testify/require", why: "tests use the standard library and go-cmp", everywhere: true},
}

// badNames are package names that say nothing.
var badNames = []string{"util", "utils", "manager", "helper", "helpers", "common", "misc", "base"}

// badWords have no place in a committed Go file. They are split so that this file passes its own rule.
var badWords = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK", "//no" + "lint", "lint:" + "ignore", "\"/wo" + "rk/"}

// outsideWord leads to what lies beside the repository, which only tests may look for.
const outsideWord = "../shared"

// source is one parsed Go file.
type source struct {
	path  string // relative to the root, with slashes
	text  string
	file  *ast.File
	fset  *token.FileSet
	names map[string]string // local name → import path
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

func (s source) lines(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

func parseSource(name, text string) (source, error) {
	fset := token.NewFileSet()
	// Object resolution is deprecated for types' sake; it is exactly what globalsAreConstant needs.
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return source{}, err
	}
	s := source{path: name, text: text, file: file, fset: fset, names: map[string]string{}}
	for _, spec := range file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		local := path.Base(p)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		s.names[local] = p
	}
	return s, nil
}

func readTree(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parseSource(filepath.ToSlash(name), string(text))
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A rule returns one line for each place that breaks it.
type rule func([]source) []string

var rules = map[string]rule{
	"imports":         importsFlowOneWay,
	"packageComments": packagesHaveComments,
	"packageNames":    packageNamesMeanSomething,
	"sizes":           filesAndFunctionsAreShort,
	"exportedDocs":    exportedNamesHaveComments,
	"bannedCalls":     noBannedCalls,
	"noShell":         noShell,
	"noInit":          noInit,
	"globals":         globalsAreConstant,
	"verifiedTLS":     tlsIsVerified,
	"words":           noBadWords,
}

func TestArchitecture(t *testing.T) {
	all := readTree(t)
	if len(all) < 10 {
		t.Fatalf("only %d Go files found: is the test in the module's root?", len(all))
	}
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			for _, complaint := range check(all) {
				t.Error(complaint)
			}
		})
	}
}

// TestRulesBite proves that each rule can fail.
func TestRulesBite(t *testing.T) {
	long := "// Package nbd is long.\npackage nbd\n\nfunc f() {\n" + strings.Repeat("\t_ = 1\n", maxFuncLines) + "}\n"
	samples := map[string][][2]string{ // rule → file name, text
		"imports": {
			{"internal/lsd/a.go", "package lsd\nimport _ \"tintype/internal/compute\"\n"},
			{"internal/nbd/a.go", "package nbd\nimport _ \"tintype\"\n"},
			{"internal/newcomer/a.go", "package newcomer\n"},
		},
		"packageComments": {
			{"internal/nbd/a.go", "package nbd\n"},
			{"internal/nbd/a.go", "// Something else.\npackage nbd\n"},
			{"cmd/tintype/a.go", "package main\n"},
		},
		"packageNames": {{"internal/util/a.go", "package util\n"}},
		"sizes": {
			{"internal/nbd/a.go", long},
			{"internal/nbd/a_test.go", long},
			{"internal/nbd/a.go", "package nbd\n" + strings.Repeat("\n", maxFileLines)},
		},
		"exportedDocs": {
			{"internal/nbd/a.go", "package nbd\nfunc Serve() {}\n"},
			{"internal/nbd/a.go", "package nbd\ntype Server struct{}\n"},
			{"internal/nbd/a.go", "package nbd\n// Server serves.\ntype Server struct{}\nfunc (s *Server) Close() {}\n"},
			{"internal/nbd/a.go", "package nbd\nconst Max = 1\n"},
		},
		"bannedCalls": {
			{"internal/compute/a.go", "package compute\nimport \"time\"\nvar t = time.Now()\n"},
			{"internal/compute/a.go", "package compute\nimport clock \"time\"\nvar now = clock.Now\n"},
			{"internal/lsd/a.go", "package lsd\nimport \"os\"\nvar f, _ = os.Open(\"x\")\n"},
			{"internal/lsd/a_test.go", "package lsd\nimport \"os\"\nfunc f() { os.Exit(1) }\n"},
			{"cmd/tintype/a.go", "package main\nimport \"log\"\nfunc f() { log.Fatal(1) }\n"},
			{"internal/nbd/a.go", "package nbd\nimport \"fmt\"\nfunc f() { fmt.Println(1) }\n"},
		},
		"noShell": {{"internal/cli/a.go", "package cli\nimport \"os/exec\"\nvar c = exec.Command(\"sh\", \"-c\", \"true\")\n"}},
		"noInit":  {{"internal/nbd/a.go", "package nbd\nfunc init() {}\n"}},
		"globals": {
			{"internal/nbd/a.go", "package nbd\nvar n int\nfunc f() { n = 1 }\n"},
			{"internal/nbd/a.go", "package nbd\nvar m = map[int]int{}\nfunc f() { m[1]++ }\n"},
		},
		"verifiedTLS": {{"e2e/a_test.go", "package e2e\nimport \"crypto/tls\"\nvar c = tls.Config{InsecureSkipVerify: true}\n"}},
		"words":       {{"internal/nbd/a.go", "package nbd\n// TO" + "DO: finish.\n"}, {"internal/nbd/a.go", "package nbd\n\nconst at = \"../shared/a\"\n"}},
	}
	for name, check := range rules {
		if len(samples[name]) == 0 {
			t.Errorf("rule %s has no sample that breaks it", name)
		}
		for i, sample := range samples[name] {
			s, err := parseSource(sample[0], sample[1])
			if err != nil {
				t.Fatal(err)
			}
			if len(check([]source{s})) == 0 {
				t.Errorf("rule %s does not see what is wrong with sample %d", name, i)
			}
		}
	}
}

// TestRulesAllow proves that the rules that guess from syntax leave honest code alone.
func TestRulesAllow(t *testing.T) {
	s, err := parseSource("internal/nbd/a.go", `// Package nbd is a sample.
package nbd

import "time"

var limit = 1

type inner struct{ time clock }

type clock struct{}

func (clock) Now() int { return 0 }

func (i inner) Do() int {
	limit := 2
	limit++
	time := i.time
	return time.Now() + limit
}

var _ = time.Second
`)
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range rules {
		if bad := check([]source{s}); len(bad) > 0 {
			t.Errorf("rule %s: %v", name, bad)
		}
	}
}

// TestEveryPackageIsDescribed keeps ARCHITECTURE.md complete.
func TestEveryPackageIsDescribed(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range readTree(t) {
		dir := s.dir()
		if dir == "." || seen[dir] || strings.HasPrefix(dir, "e2e/") {
			continue
		}
		seen[dir] = true
		name := strings.TrimPrefix(dir, "internal/")
		if !strings.Contains(string(text), name) {
			t.Errorf("ARCHITECTURE.md does not name %s", dir)
		}
	}
}

// TestEveryDependencyIsExplained wants a line for each direct requirement of go.mod.
func TestEveryDependencyIsExplained(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	explained, err := os.ReadFile(dependencyFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(line)
		if len(words) != 2 || !strings.HasPrefix(words[1], "v") || !strings.Contains(words[0], ".") {
			continue // only "path version" lines, without "// indirect"
		}
		if !strings.Contains(string(explained), words[0]) {
			t.Errorf("%s does not say why %s", dependencyFile, words[0])
		}
	}
}
