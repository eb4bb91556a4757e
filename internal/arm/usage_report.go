package arm

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tintype"
	"tintype/internal/arm/wire"
	"tintype/internal/meter"
)

// maxReportDays bounds a report, as Azure does, to a month; ours takes a year.
const maxReportDays = 366

// startReport accepts a cost details report; it is followed by its Location.
func (h usageHandler) startReport(_ context.Context, c *Call) (Response, error) {
	var body wire.CostReportRequest
	if len(c.Body) > 0 {
		if err := c.Decode(&body); err != nil {
			return Response{}, err
		}
	}
	if body.Metric != "" && !strings.EqualFold(body.Metric, "ActualCost") && !strings.EqualFold(body.Metric, "AmortizedCost") {
		return Response{}, tintype.InvalidParameter("metric", "The value '%.64s' of parameter 'metric' is invalid. Supported values are ActualCost,AmortizedCost.", body.Metric)
	}
	if body.InvoiceID != "" || body.CustomerID != "" {
		return Response{}, tintype.InvalidParameter("invoiceId", "Reports by invoice or customer are not supported: give timePeriod or billingPeriod.")
	}
	f := usageFilter{}
	today := h.Usage.Today()
	f.from, f.to = today.Month()
	if err := f.period(body.BillingPeriod); err != nil {
		return Response{}, err
	}
	if t := body.TimePeriod; t != nil {
		var err error
		if f.from, f.to, err = reportDays(t.Start, t.End); err != nil {
			return Response{}, err
		}
	}
	q := meter.Query{Scope: h.scope(c), From: f.from, To: f.to}
	r, err := h.Usage.StartReport(q, meter.CSVOptions{Subscription: h.SubscriptionName(q.Subscription)})
	if err != nil {
		return Response{}, err
	}
	return h.reportPending(c, r), nil
}

// reportDays reads the days of a report, both included.
func reportDays(start, end string) (from, to meter.Day, err error) {
	from, err1 := meter.ParseDay(clipDay(start))
	to, err2 := meter.ParseDay(clipDay(end))
	if err1 != nil || err2 != nil || to < from {
		return 0, 0, tintype.InvalidParameter("timePeriod", "The time period from '%.32s' to '%.32s' is not one of days such as 2026-01-31.", start, end)
	}
	if to-from >= maxReportDays {
		return 0, 0, tintype.InvalidParameter("timePeriod", "The time period has %d days, at most %d are supported.", to-from+1, maxReportDays)
	}
	return from, to + 1, nil
}

// clipDay takes the day of a moment.
func clipDay(s string) string { return s[:min(len(s), len(time.DateOnly))] }

func reportPath(r meter.Report) string {
	path := "/subscriptions/" + string(r.Query.Subscription)
	if r.Query.Group != "" {
		path += "/resourceGroups/" + r.Query.Group
	}
	return path + "/providers/" + costNamespace + "/costDetailsOperationResults/" + r.ID.String()
}

func (h usageHandler) reportPending(c *Call, r meter.Report) Response {
	head := http.Header{}
	head.Set("Location", c.BaseURL+reportPath(r)+"?api-version="+c.APIVersion)
	head.Set("Retry-After", strconv.Itoa(retryAfter))
	return Response{Status: http.StatusAccepted, Header: head}
}

// pollReport tells whether a report is ready, and where it is.
func (h usageHandler) pollReport(_ context.Context, c *Call) (Response, error) {
	id, err := uuid.Parse(c.Param("operation"))
	if err != nil {
		return Response{}, errNoOperation(c.Param("operation"))
	}
	r, ok := h.Usage.Report(id)
	if scope := h.scope(c); !ok || scope.Subscription != r.Query.Subscription || !strings.EqualFold(scope.Group, r.Query.Group) {
		return Response{}, errNoOperation(c.Param("operation"))
	}
	switch {
	case !r.Done:
		return h.reportPending(c, r), nil
	case r.Err != nil:
		return Response{}, tintype.Internal(r.Err)
	case r.Rows == 0:
		return Empty(http.StatusNoContent), nil
	}
	link := c.BaseURL + ReportsPath + r.ID.String() + "/" + r.Secret + "/usage.csv"
	return JSON(http.StatusOK, wire.CostReport{
		ID: reportPath(r), Name: r.ID.String(), Status: "Completed", ValidTill: r.Expires.Format(time.RFC3339),
		Manifest: &wire.ReportManifest{
			Version: c.APIVersion, DataFormat: "Csv", ByteCount: r.Bytes, BlobCount: 1,
			RequestContext: wire.ReportContext{
				Scope: strings.TrimPrefix(c.Path[:strings.Index(c.Path, "/providers/")], "/"),
				Body:  wire.CostReportRequest{Metric: "ActualCost", TimePeriod: &wire.TimePeriod{Start: r.Query.From.String(), End: (r.Query.To - 1).String()}},
			},
			Blobs: []wire.ReportBlob{{Link: link, ByteCount: r.Bytes}},
		},
	}), nil
}

// ReportsPath is where reports are fetched, with the secret that the operation's result gives away.
const ReportsPath = "/costreports/"

// reportTimeout is how long the sending of a report may take.
const reportTimeout = 30 * time.Minute

// ReportHandler serves [ReportsPath]. Like a signed URL, the address itself is the permission.
func ReportHandler(usage *meter.Service, now func() time.Time, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.TrimPrefix(r.URL.Path, ReportsPath), "/")
		if len(parts) != 3 || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		id, err := uuid.Parse(parts[0])
		report, ok := usage.OpenReport(id, parts[1])
		if err != nil || !ok {
			http.NotFound(w, r)
			return
		}
		// A connection that cannot be bounded is left as the server made it.
		_ = http.NewResponseController(w).SetWriteDeadline(now().Add(reportTimeout))
		h := w.Header()
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Length", strconv.FormatInt(report.Bytes, 10))
		h.Set("Content-Disposition", `attachment; filename="usage.csv"`)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method == http.MethodHead {
			return
		}
		out := bufio.NewWriterSize(w, 256<<10)
		if err := usage.WriteReport(r.Context(), report, out); err != nil {
			log.Debug("report was cut off", "report", id, "error", err)
			return
		}
		if err := out.Flush(); err != nil {
			log.Debug("report was cut off", "report", id, "error", err)
		}
	})
}
