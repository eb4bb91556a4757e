package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"tintype/internal/identity"
	"tintype/internal/imds"
)

// localOptions say whose programs on this machine get tokens without a secret, and where.
type localOptions struct {
	listen string
	names  []string
	users  []identity.LocalUser
}

func (o *localOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.listen, "identity-listen", "", "serve managed identities over plain HTTP at this address, such as 127.0.0.1:50342: the users of this machine that --identity-user names get tokens there without a secret")
	f.StringSliceVar(&o.names, "identity-user", nil, "USER or UID whose processes get tokens at --identity-listen; each has a service principal of its own, without any role at first")
}

// nobody is what the kernel says of users of other namespaces (kernel.overflowuid).
const nobody = 65534

// check looks the users up.
func (o *localOptions) check() error {
	if o.listen == "" && len(o.names) == 0 {
		return nil
	}
	if o.listen == "" || len(o.names) == 0 {
		return errors.New("--identity-listen and --identity-user need each other")
	}
	if _, err := imds.CheckListen(o.listen); err != nil {
		return fmt.Errorf("--identity-listen %s: %w", o.listen, err)
	}
	for _, name := range o.names {
		u, err := findUser(name)
		if err != nil {
			return fmt.Errorf("--identity-user %s: %w", name, err)
		}
		if u.UID == nobody || u.UID == math.MaxUint32 {
			return fmt.Errorf("--identity-user %s: %d stands for every user whom the kernel has no number for", name, u.UID)
		}
		o.users = append(o.users, u)
	}
	return nil
}

// findUser finds a user by name or number. A number need have no name: containers have such users.
func findUser(name string) (identity.LocalUser, error) {
	found, err := user.Lookup(name)
	uid, notNumber := strconv.ParseUint(name, 10, 32)
	if err != nil && notNumber == nil {
		if found, err = user.LookupId(name); err != nil {
			return identity.LocalUser{Name: name, UID: uint32(uid)}, nil
		}
	}
	if err != nil {
		return identity.LocalUser{}, err
	}
	uid, err = strconv.ParseUint(found.Uid, 10, 32)
	return identity.LocalUser{Name: found.Username, UID: uint32(uid)}, err
}

// openLocal serves managed identities, when it was asked for.
func (s *server) openLocal(context.Context) error {
	if s.opt.local.listen == "" {
		return nil
	}
	at, err := imds.CheckListen(s.opt.local.listen)
	if err != nil {
		return err
	}
	if ours, err := imds.OnLoopback(at.Addr()); err != nil || !ours {
		return errors.Join(err, fmt.Errorf("%s is no address of the loopback interface", at.Addr()))
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return err
	}
	web := &http.Server{
		Handler:     imds.New(imds.Options{Identity: s.identity, Listen: at, Log: s.log}),
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := web.Shutdown(ctx); err != nil {
			return web.Close()
		}
		return nil
	})
	s.log.Info("managed identities are served", "address", l.Addr().String())
	go func() {
		if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("managed identities at %s: %w", l.Addr(), err)
		}
	}()
	return nil
}
