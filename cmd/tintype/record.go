package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"sync"
)

// recorder writes each answer of the API to a file, one JSON object a line, in the words of recordings of Azure's clients.
type recorder struct {
	next http.Handler
	log  *slog.Logger
	mu   sync.Mutex // guards file
	file *os.File
}

// recorded is a line of the file. What a client sent, its token above all, is not in it.
type recorded struct {
	Method  string          `json:"method"`
	URI     string          `json:"uri"`
	Status  int             `json:"status"`
	Headers http.Header     `json:"responseHeaders"`
	Body    json.RawMessage `json:"responseBody,omitempty"`
}

// signatureRE finds what makes a signed URL open something.
var signatureRE = regexp.MustCompile(`\bsig=[^"&\\]*`)

// record puts a recorder before the API when there is a file to write to.
func (s *server) record(api http.Handler) (http.Handler, error) {
	if s.opt.record == "" {
		return api, nil
	}
	f, err := os.OpenFile(s.opt.record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	r := &recorder{next: api, log: s.log, file: f}
	s.onClose(r.close)
	return r, nil
}

func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.file.Close()
	r.file = nil
	return err
}

// ServeHTTP passes the answer on, and then writes it down.
func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	out := &copied{ResponseWriter: w, status: http.StatusOK}
	uri := q.URL.RequestURI()
	r.next.ServeHTTP(out, q)
	body := signatureRE.ReplaceAll(bytes.TrimSpace(out.body.Bytes()), []byte("sig=REDACTED"))
	if !json.Valid(body) {
		body = nil
	}
	line, err := json.Marshal(recorded{q.Method, uri, out.status, w.Header(), body})
	if err == nil {
		err = r.write(append(line, '\n'))
	}
	if err != nil {
		r.log.Warn("an answer could not be recorded", "error", err)
	}
}

func (r *recorder) write(line []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return errors.New("the server is stopping")
	}
	_, err := r.file.Write(line) // at once, so that a killed server leaves whole lines
	return err
}

// copied keeps an answer while it is sent.
type copied struct {
	http.ResponseWriter
	status int
	wrote  bool
	body   bytes.Buffer
}

// WriteHeader sends the status; the first one counts.
func (c *copied) WriteHeader(status int) {
	if !c.wrote {
		c.status, c.wrote = status, true
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (c *copied) Write(p []byte) (int, error) {
	c.wrote = true
	n, err := c.ResponseWriter.Write(p)
	c.body.Write(p[:n])
	return n, err
}

// Unwrap lets an http.ResponseController reach the connection.
func (c *copied) Unwrap() http.ResponseWriter { return c.ResponseWriter }
