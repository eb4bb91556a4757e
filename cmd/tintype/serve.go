package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tintype"
	"tintype/internal/arm"
	"tintype/internal/vfs"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	data          string
	listen        string
	region        string
	blobDomain    string
	nbdListen     string
	vhostUser     string
	tokenKeyAge   time.Duration
	prices        string
	verbose       bool
	record        string
	recordsCopies []string
	keys          keyOptions
	scrubRate     int64 // MiB a second
	metricsListen string
	overhead      int   // percent; 0 adapts
	mapMemory     int64 // MiB
	order         bool
	limits        arm.Limits
	budgetWebhook string
	quota         map[string]int64
	importFrom    []string
	peerDirs      []string
	peers         peers
	privateListen string
	local         localOptions
	zones         zoneOptions
	zoneDirs      []string
}

func newServe(env Env) *cobra.Command {
	var opt serveOptions
	cmd := &cobra.Command{
		Use:   "serve --data DIR",
		Short: "Serve the API, the blobs and NBD from one data folder",
		Long: "Serve the API, the blobs and NBD from one data folder.\n\n" +
			"The first start makes the folder, a private certificate authority, a tenant, a subscription and a service\n" +
			"principal that owns it, and writes DIR/client for clients: source DIR/client/env.sh.\n" +
			"Prints \"ready URL\" when everything serves. SIGTERM or Ctrl-C stops it cleanly.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), opt, env) },
	}
	f := cmd.Flags()
	f.StringVar(&opt.data, "data", "", "folder that holds everything (required)")
	f.StringVar(&opt.listen, "listen", "127.0.0.1:8443", "address of the HTTPS listener; port 0 takes any")
	f.IntVar(&opt.limits.Reads, "throttle-reads", 0, "requests an hour that each principal may send to read; 0 is any number (Azure: 12000)")
	f.IntVar(&opt.limits.Writes, "throttle-writes", 0, "requests an hour that each principal may send to write, and as many to delete; 0 is any number (Azure: 1200)")
	f.StringVar(&opt.region, "region", "westus2", "Azure region that this server is")
	f.StringVar(&opt.blobDomain, "blob-domain", "", "serve blobs at md-….DOMAIN instead of by path; *.DOMAIN must lead here")
	f.DurationVar(&opt.tokenKeyAge, "token-key-age", tokenKeyAge, "for how long one key signs tokens before another takes its place; 0: for ever")
	f.StringVar(&opt.nbdListen, "nbd-listen", "", "also serve NBD at this TCP address, without encryption or login")
	f.StringVar(&opt.vhostUser, "vhost-user", "", "folder for a socket of each attached disk, at which QEMU on this machine has it as vhost-user-blk: with memory that is shared in place of NBD")
	f.StringVar(&opt.prices, "prices", "", "price sheet of the usage report, JSON; default: example prices in USD")
	opt.keys.flags(cmd)
	f.Int64Var(&opt.scrubRate, "scrub-rate", 8, "MiB a second at which a pass each week reads all data for damage; 0 reads none by itself")
	f.StringVar(&opt.metricsListen, "metrics-listen", "", "serve /metrics, /healthz and /readyz over plain HTTP at this address")
	f.IntVar(&opt.overhead, "space-overhead", 0, "percent of dead space, beside the live, that is left alone while there is room; 0 adapts: 100 in a file system with room, 25 in one that fills")
	f.BoolVar(&opt.order, "order", true, "put what was written at random in order while nothing is written and there is ample room, so that it is read fast")
	f.Int64Var(&opt.mapMemory, "map-memory", 1024, "MiB of memory for the maps of disks; what does not fit is read again when it is needed")
	f.StringVar(&opt.budgetWebhook, "budget-webhook", "", "URL that is called when a budget's threshold is crossed")
	f.StringVar(&opt.privateListen, "private-listen", "", "address of a second HTTPS listener, which only a private network should reach: disks with networkAccessPolicy AllowPrivate are read there and nowhere else")
	f.StringSliceVar(&opt.importFrom, "import-from", nil, "HOST[:PORT] or *.DOMAIN from which disks may be imported by https (createOption Import), beside this server itself")
	f.StringArrayVar(&opt.peerDirs, "peer", nil, "folder with principal.json and ca.pem of another server, from which incremental snapshots may be copied (createOption CopyStart); may be given several times")
	f.StringToInt64Var(&opt.quota, "quota", nil, "NAME=N,…: how many a subscription may have in a region, such as PremiumDiskCount=100; names as az vm list-usage shows them. Default: any number")
	opt.local.flags(cmd)
	opt.zones.flags(cmd)
	f.StringArrayVar(&opt.recordsCopies, "records-copy", nil, "folder, on another disk than DIR, that gets a copy of the catalog and of what else names the disks, kept up to date; may be given several times")
	f.StringVar(&opt.record, "record", "", "file to which every answer of the API is added, one JSON object a line, without the signatures of URLs")
	f.BoolVar(&opt.verbose, "verbose", false, "log every request")
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// serve runs the server until ctx ends, and returns nil when it has stopped cleanly.
func serve(ctx context.Context, opt serveOptions, env Env) (err error) {
	level := slog.LevelInfo
	if opt.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level}))
	if _, ok := tintype.FindRegion(opt.region); !ok {
		return fmt.Errorf("--region %s is no region; there are %s", opt.region, tintype.RegionNames())
	}
	if opt.blobDomain != "" && !validName(opt.blobDomain) {
		return fmt.Errorf("--blob-domain %s is no domain name", opt.blobDomain)
	}
	if opt.scrubRate < 0 || opt.scrubRate > 1<<20 {
		return fmt.Errorf("--scrub-rate %d: 0 to %d MiB a second", opt.scrubRate, 1<<20)
	}
	if opt.limits.Reads < 0 || opt.limits.Writes < 0 {
		return errors.New("--throttle-reads and --throttle-writes are not negative")
	}
	if opt.overhead != 0 && (opt.overhead < 5 || opt.overhead > 400) {
		return fmt.Errorf("--space-overhead %d: 5 to 400 percent, or 0 to adapt", opt.overhead)
	}
	if opt.mapMemory < 8 || opt.mapMemory > 1<<20 {
		return fmt.Errorf("--map-memory %d: 8 to %d MiB", opt.mapMemory, 1<<20)
	}
	if u, err := url.Parse(opt.budgetWebhook); opt.budgetWebhook != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("--budget-webhook is not an http or https URL")
	}
	for name, limit := range opt.quota {
		if !slices.ContainsFunc(tintype.Quotas(), func(q tintype.Quota) bool { return q.Name == name }) || limit < 0 {
			return fmt.Errorf("--quota %s=%d is no quota", name, limit)
		}
	}
	if err := opt.local.check(); err != nil {
		return err
	}
	dir, err := filepath.Abs(opt.data)
	if err != nil {
		return err
	}
	opt.data = dir
	if opt.zoneDirs, err = opt.zones.dirs(); err != nil {
		return err
	}
	if opt.recordsCopies, err = recordsFolders(dir, opt.recordsCopies); err != nil {
		return err
	}
	if opt.peers, err = openPeers(opt.peerDirs, env.Now); err != nil {
		return fmt.Errorf("--peer: %w", err)
	}
	syscall.Umask(0o077) // whatever is made from here on, by libraries too, is for its owner only
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	unlock, err := lockData(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	s := &server{opt: opt, now: env.Now, log: log, stderr: env.Stderr}
	if err := s.open(ctx); err != nil {
		return errors.Join(err, s.close())
	}
	fmt.Fprintln(env.Stdout, "ready", s.url)
	log.Info("ready", "url", s.url, "data", dir, "client", filepath.Join(dir, "client"))
	err = s.wait(ctx)
	log.Info("stopping")
	return errors.Join(err, s.close())
}

// lockData keeps every other server and check away from the folder until unlock.
func lockData(dir string) (unlock func() error, err error) {
	lock, err := vfs.OS().Lock(filepath.Join(dir, "LOCK"))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("%s is in use: another tintype serve or check has it locked", dir)
	}
	if err != nil {
		return nil, err
	}
	return lock.Close, nil
}
