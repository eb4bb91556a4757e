package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tintype/internal/block"
	"tintype/internal/nbd"
)

// metrics is what Prometheus may ask for. Nothing in it names a resource, a host or a caller.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	nbd      *prometheus.HistogramVec
	vhost    *prometheus.HistogramVec
	engine   *prometheus.HistogramVec
}

// newMetrics makes the series that exist from the start.
func newMetrics() *metrics {
	// From 1 µs to 17 s: a cached read and a full disk's write have to be told apart on one scale.
	fast := prometheus.ExponentialBuckets(1e-6, 4, 13)
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tintype_http_request_seconds", Help: "HTTP requests by door, method and status.",
			Buckets: prometheus.ExponentialBuckets(1e-3, 2, 14),
		}, []string{"door", "method", "code"}),
		nbd: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tintype_nbd_request_seconds", Help: "NBD requests by command, one of 64 of each connection.", Buckets: fast,
		}, []string{"command"}),
		vhost: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tintype_vhost_request_seconds", Help: "Requests of virtual machines that share memory, by command, one of 64 of each queue.", Buckets: fast,
		}, []string{"command"}),
		engine: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tintype_engine_call_seconds", Help: "Calls of the disk engine that are not reads or writes.", Buckets: fast,
		}, []string{"call", "failed"}),
	}
	m.registry.MustRegister(m.requests, m.nbd, m.vhost, m.engine, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch is for the NBD server.
func (m *metrics) watch() *nbd.Watch {
	return &nbd.Watch{Now: time.Now, Took: func(command string, d time.Duration) {
		m.nbd.WithLabelValues(command).Observe(d.Seconds())
	}}
}

// timed tells how long a call of the engine took.
func (m *metrics) timed(call string, began time.Time, err error) {
	m.engine.WithLabelValues(call, strconv.FormatBool(err != nil)).Observe(time.Since(began).Seconds())
}

// holdings collects what the engine has when it is asked: counts and sizes of volumes, and its own statistics.
type holdings struct{ server *server }

// Describe describes nothing: the series depend on what the engine tells.
func (h holdings) Describe(chan<- *prometheus.Desc) {}

// Collect reads the engine's and the meter's state.
func (h holdings) Collect(out chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64, labels ...string) {
		var keys, values []string
		for i := 0; i+1 < len(labels); i += 2 {
			keys, values = append(keys, labels[i]), append(values, labels[i+1])
		}
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, keys, nil), prometheus.GaugeValue, value, values...)
	}
	kinds := map[block.Kind]string{block.KindDisk: "disk", block.KindSnapshot: "snapshot"}
	count, used, size := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, info := range h.server.engine.List() {
		k := kinds[info.Kind]
		count[k]++
		used[k] += float64(info.Used)
		size[k] += float64(info.Size)
	}
	for _, k := range kinds {
		gauge("tintype_volumes", "Disks and snapshots in the engine.", count[k], "kind", k)
		gauge("tintype_volumes_used_bytes", "Used bytes, each volume for itself.", used[k], "kind", k)
		gauge("tintype_volumes_provisioned_bytes", "Provisioned bytes.", size[k], "kind", k)
	}
	for name, value := range numbersOf(h.server.engine.Stats()) {
		gauge("tintype_engine_"+name, "See tintype store stats.", value)
	}
	if copies := h.server.records; copies != nil {
		for i, at := range copies.Current() {
			gauge("tintype_records_copied_seconds", "When each copy of the records was last up to date, in the order of --records-copy.",
				float64(max(0, at.UnixMilli()))/1000, "copy", strconv.Itoa(i+1))
		}
	}
	gauge("tintype_metered_until_seconds", "Up to when usage is on record.", float64(h.server.meter.Clock().UnixMilli())/1000)
}

// numbersOf gives the numbers of a structure by their JSON names in snake case.
func numbersOf(v any) map[string]float64 {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil
	}
	numbers := map[string]float64{}
	for name, value := range fields {
		if n, ok := value.(float64); ok {
			numbers[snake(name)] = n
		}
	}
	return numbers
}

func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// openMetrics serves /metrics, /healthz and /readyz on a listener of their own, when one is asked for. It is there before
// the rest, so that a start can be watched.
func (s *server) openMetrics(context.Context) error {
	s.metrics = newMetrics()
	if s.opt.metricsListen == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.opt.metricsListen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	series := promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	mux.Handle("GET /metrics", series)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}
	s.onClose(web.Close)
	s.log.Info("metrics", "address", l.Addr().String())
	go func() {
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("metrics at %s: %w", l.Addr(), err)
		}
	}()
	return nil
}

// healthz tells that the process answers.
func (s *server) healthz(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintln(w, "ok") // nobody is left to be told
}

// readyz tells whether everything is open, and the catalog can be read.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	if !s.ready.Load() {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := s.catalog.Ping(ctx); err != nil {
		s.log.Error("not ready", "error", err)
		http.Error(w, "the catalog cannot be read", http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}
