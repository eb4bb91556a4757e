package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"tintype/internal/transfer"
)

const diffHelp = "Lists the ranges of bytes that differ, exact to 4 KiB: with data true they hold data now, with false they " +
	"read as zeroes now. The two must come from one disk. Access to both is granted for the time of the command."

func diffOptions() []*option {
	return append(targetOptions(snapshotKind),
		&option{long: "since", required: true, help: "Name or ID of the older snapshot; a name is looked for in the same resource group"})
}

func diffSnapshots(ctx context.Context, s *session, args *arguments) (any, error) {
	refs, err := s.targets(snapshotKind)
	if err != nil {
		return nil, err
	}
	if len(refs) != 1 {
		return nil, usagef("argument --ids: a difference is that of one snapshot")
	}
	newer := refs[0]
	older, err := s.since(newer.group, args.get("since"))
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(newer.id, older.id) {
		return nil, usagef("argument --since: a snapshot does not differ from itself")
	}
	var changes []transfer.Change
	err = s.withAccess(ctx, newer, func(ctx context.Context, to string) error {
		return s.withAccess(ctx, older, func(ctx context.Context, from string) (err error) {
			changes, err = transfer.Changes(ctx, s.client.http, to, from, transfer.Options{})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	shown := make([]any, len(changes))
	for i, c := range changes {
		shown[i] = map[string]any{"start": number(c.Start), "length": number(c.Length), "data": c.Data}
	}
	return shown, nil
}

func diffColumns(o map[string]any) row {
	return row{{"start", o["start"]}, {"length", o["length"]}, {"data", o["data"]}}
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// since finds a snapshot by name, next to others in a group, or by id.
func (s *session) since(group, name string) (reference, error) {
	if strings.HasPrefix(name, "/") {
		return parseID(snapshotKind, name)
	}
	return reference{group: group, name: name, id: s.id(snapshotKind, group, name)}, nil
}

// withAccess lets do read the resource through a signed URL, which ends with it.
func (s *session) withAccess(ctx context.Context, ref reference, do func(ctx context.Context, address string) error) error {
	address, err := s.sas(ctx, ref, "Read", sasSeconds)
	if err != nil {
		return s.afterwards(ctx, err, ref, s.revoke)
	}
	if err := do(ctx, address); err != nil {
		// What do was refused elsewhere says nothing of this access.
		return errors.Join(err, s.endAccess(ctx, ref))
	}
	return s.release(ctx, ref)
}

// endAccess ends access after a failure, also when the failure is an interrupt.
func (s *session) endAccess(ctx context.Context, ref reference) error {
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := s.revoke(late, ref); err != nil {
		return &accessLeft{ref.name, err}
	}
	return nil
}
