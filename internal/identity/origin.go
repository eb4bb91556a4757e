package identity

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Origin decides under which "https://host:port" a caller is told to find us. A Host header is believed only when it
// names a host of our certificate: otherwise whoever can make a client send a strange Host could have its secrets sent
// elsewhere.
type Origin struct {
	// Names are the hosts and addresses in our certificate, in lower case.
	Names []string
	// Default is the configured origin, such as "https://localhost:8443".
	Default string
}

// BaseURL is the origin that r's caller used, or the default.
func (o Origin) BaseURL(r *http.Request) string {
	host, port := splitHost(r.Host)
	if !slices.Contains(o.Names, host) || port == "bad" {
		return o.Default
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return "https://" + host
}

// Ours tells whether s, an audience, names one of our own origins. The port is free, because a forwarded port is still
// us: what signs the token counts, not how the client came here.
func (o Origin) Ours(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	host, port := splitHost(u.Host)
	return strings.Trim(u.Path, "/") == "" && port != "bad" && slices.Contains(o.Names, host)
}

// splitHost gives a host in lower case and its port; a port that is no number is "bad".
func splitHost(hostport string) (host, port string) {
	host = hostport
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return "", "bad"
		}
		host, port = h, p
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	return strings.ToLower(host), port
}
