package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

const attachHelp = "Prints one line, an NBD URI, once the export serves: nbdinfo, nbdcopy, qemu-img and QEMU take it as it is. " +
	"The attachment stays, under the same URI and over restarts of the server, until it is detached; " +
	"attaching again from the same host prints the same URI."

func attachShort(k *kind) string {
	if k == diskKind {
		return "Serve a managed disk to a host over NBD."
	}
	return "Serve a snapshot to a host over NBD, read-only."
}

func hostOption() *option {
	return &option{long: "host", help: "Name of the host that attaches; default: this machine's name"}
}

func attachOptions(k *kind) []*option {
	options := append(targetOptions(k), hostOption(), &option{
		long: "since", arity: atLeast1,
		help: "Names or IDs of older snapshots of the same disk (space-delimited): what changed since each is served as qemu:dirty-bitmap:NAME",
	}, &option{
		long: "changes", arity: none,
		help: "With --since, print instead a URI for each of its snapshots: 'nbdcopy --destination-is-zero -S 0 --request-size=4096 -- URI [ qemu-nbd -f raw FILE ]' then turns an image of that snapshot into one of this",
	})
	options = append(options, &option{
		long: "vhost-user", arity: none,
		help: "Print instead the path of the socket at which QEMU on the server's machine has it as vhost-user-blk; the server needs 'serve --vhost-user DIR'",
	})
	if k == diskKind {
		options = append(options, &option{long: "read-only", arity: none, help: "Refuse writes through this attachment"})
	}
	return options
}

func detachOptions(k *kind) []*option {
	return append(targetOptions(k), &option{long: "host", help: "Detach only if attached to this host; default: whichever host it is"})
}

func attach(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		host := args.get("host")
		if host == "" {
			var err error
			if host, err = os.Hostname(); err != nil {
				return nil, fmt.Errorf("cannot find this machine's name, give --host: %w", err)
			}
		}
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			body := map[string]any{"host": host, "readOnly": k == snapshotKind || args.has("read-only")}
			if since := args.values["since"]; len(since) > 0 {
				body["since"] = since
			}
			result, err := s.act(ctx, ref, "attach", body)
			if err != nil {
				return nil, err
			}
			wire, err := object(result)
			if err != nil {
				return nil, err
			}
			if args.has("changes") {
				return changesOf(wire)
			}
			if args.has("vhost-user") {
				return vhostUserOf(wire)
			}
			uri, ok := wire["uri"].(string)
			if !ok || uri == "" {
				return nil, errors.New("the server attached but sent no URI")
			}
			return line1(uri), nil
		})
	}
}

func vhostUserOf(attachment map[string]any) (any, error) {
	socket, _ := attachment["vhostUser"].(string)
	if socket == "" {
		return nil, azText("It is attached, but the server shares no memory with virtual machines: it was started without --vhost-user.")
	}
	return line1(socket), nil
}

// changesOf lists the URIs of what changed, a line each.
func changesOf(attachment map[string]any) (any, error) {
	list, _ := attachment["changes"].([]any)
	if len(list) == 0 {
		return nil, azText("The attachment has no snapshots to compare with. Detach it, and attach it again with --since.")
	}
	var lines []string
	for _, item := range list {
		o, err := object(item)
		if err != nil {
			return nil, err
		}
		uri, _ := o["uri"].(string)
		lines = append(lines, uri)
	}
	return line1(strings.Join(lines, "\n")), nil
}

func detach(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			body := map[string]any{}
			if args.has("host") {
				body["host"] = args.get("host")
			}
			_, err := s.act(ctx, ref, "detach", body)
			return nil, err
		})
	}
}

// act posts to one of the server's own actions and waits for the result.
func (s *session) act(ctx context.Context, ref reference, action string, body any) (any, error) {
	op, err := s.client.begin(ctx, http.MethodPost, versioned(ref.id+"/"+action, computeAPI), body)
	if err != nil {
		return nil, err
	}
	return s.client.finish(ctx, op)
}
