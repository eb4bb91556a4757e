// Package conformance holds the server to what Azure really answered.
//
// Its tests replay recorded exchanges of Azure's own clients against the whole server in one process: front door, domain
// and engine. The recordings are no part of the repository; where they are absent the tests skip and say so. What the
// last run found is in docs/conformance.md.
//
// Two answers match when status, headers and body are the same key by key and value by value. What must differ from one
// run to the next (ids, times, signatures) matches by the rules in rules_test.go, each of which names the places where
// it holds. An id that was matched once stands for the same thing ever after.
//
// Every answer is also held to Azure's own description of its API, where that is at hand, by package openapi, and every
// request of the description's examples is sent.
package conformance
