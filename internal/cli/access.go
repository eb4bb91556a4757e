package cli

import (
	"context"
	"errors"
	"net/http"
)

func grantOptions(k *kind) []*option {
	return append(targetOptions(k),
		&option{long: "duration-in-seconds", integer: true, required: true, help: "Time duration in seconds until the SAS access expires"},
		&option{long: "access-level", choices: accessLevels, help: "Access level. Default: Read"})
}

func grantAccess(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, args *arguments) (any, error) {
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			return s.grant(ctx, ref, args.or("access-level", "Read"), args.int("duration-in-seconds"))
		})
	}
}

// grant begins access and returns what az shows of it.
func (s *session) grant(ctx context.Context, ref reference, access string, seconds int64) (map[string]any, error) {
	op, err := s.client.begin(ctx, http.MethodPost, versioned(ref.id+"/beginGetAccess", computeAPI),
		map[string]any{"access": access, "durationInSeconds": seconds})
	if err != nil {
		return nil, err
	}
	result, err := s.client.finish(ctx, op)
	if err != nil {
		return nil, err
	}
	wire, err := object(result)
	if err != nil {
		return nil, err
	}
	return accessModel.show(wire), nil
}

// sas is grant for a program: the address itself.
func (s *session) sas(ctx context.Context, ref reference, access string, seconds int64) (string, error) {
	shown, err := s.grant(ctx, ref, access, seconds)
	if err != nil {
		return "", err
	}
	address, ok := shown["accessSas"].(string)
	if !ok || address == "" {
		return "", errors.New("the server granted access but sent no address")
	}
	return address, nil
}

// revoke ends access and waits until it has ended.
func (s *session) revoke(ctx context.Context, ref reference) error {
	op, err := s.client.begin(ctx, http.MethodPost, versioned(ref.id+"/endGetAccess", computeAPI), nil)
	if err != nil {
		return err
	}
	_, err = s.client.finish(ctx, op)
	return err
}

func revokeAccess(k *kind) func(context.Context, *session, *arguments) (any, error) {
	return func(ctx context.Context, s *session, _ *arguments) (any, error) {
		return s.each(ctx, k, func(ctx context.Context, ref reference) (any, error) {
			return nil, s.revoke(ctx, ref)
		})
	}
}
