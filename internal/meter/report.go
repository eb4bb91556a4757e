package meter

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"time"

	"github.com/google/uuid"

	"tintype"
)

const (
	// reportLife is how long a finished report can be fetched.
	reportLife = 12 * time.Hour
	// maxReports bounds how many are kept in mind.
	maxReports = 100
)

// Report is a cost details report that was asked for. It is written when it is fetched: what is kept of it is the question,
// with the moment up to which it counts, so that every fetch gives the same bytes. A restart forgets it.
type Report struct {
	ID      uuid.UUID
	Query   Query
	Options CSVOptions
	Done    bool
	Err     error
	Rows    int64
	Bytes   int64
	Expires time.Time
	Secret  string // whoever knows it may fetch the report
}

// StartReport begins to count a report. TooManyRequests says that others have to run out first.
func (s *Service) StartReport(q Query, opt CSVOptions) (Report, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return Report{}, err
	}
	s.reporting.Lock()
	defer s.reporting.Unlock()
	now := s.now()
	if q.Until == 0 {
		q.Until = now
	}
	for id, r := range s.reports {
		if r.Done && r.Expires.UnixMilli() <= now {
			delete(s.reports, id)
		}
	}
	if len(s.reports) >= maxReports {
		return Report{}, &tintype.Error{
			Kind: tintype.KindTooManyRequests, Code: "TooManyRequests", Message: "Too many reports are kept. Please retry later.",
		}
	}
	r := &Report{
		ID: uuid.New(), Query: q, Options: opt, Secret: hex.EncodeToString(secret),
		Expires: time.UnixMilli(now).Add(reportLife).UTC(),
	}
	if s.reports == nil {
		s.reports = map[uuid.UUID]*Report{}
	}
	s.reports[r.ID] = r
	started := *r
	s.done.Go(func() { s.countReport(started) })
	return started, nil
}

// countReport finds out how long the report is. Reports are counted one after another.
func (s *Service) countReport(r Report) {
	s.counting.Lock()
	defer s.counting.Unlock()
	var n counter
	rows, err := s.WriteCSV(s.ctx, r.Query, r.Options, &n)
	s.reporting.Lock()
	defer s.reporting.Unlock()
	kept := s.reports[r.ID]
	kept.Done, kept.Err, kept.Rows, kept.Bytes = true, err, rows, int64(n)
	if err != nil {
		s.opt.Log.Error("report failed", "report", r.ID, "error", err)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Report gives a report that was asked for.
func (s *Service) Report(id uuid.UUID) (Report, bool) {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	r := s.reports[id]
	if r == nil || r.Expires.UnixMilli() <= s.now() {
		return Report{}, false
	}
	return *r, true
}

// OpenReport gives a finished report to whoever knows its secret.
func (s *Service) OpenReport(id uuid.UUID, secret string) (Report, bool) {
	r, ok := s.Report(id)
	return r, ok && r.Done && r.Err == nil && subtle.ConstantTimeCompare([]byte(secret), []byte(r.Secret)) == 1
}

// WriteReport writes a report to w.
func (s *Service) WriteReport(ctx context.Context, r Report, w io.Writer) error {
	_, err := s.WriteCSV(ctx, r.Query, r.Options, w)
	return err
}
