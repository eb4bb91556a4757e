package main

import (
	"os"

	"github.com/spf13/cobra"

	"tintype/internal/demo"
)

func newDemo(env Env) *cobra.Command {
	var work string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a disk snapshotted while it is written, lost, and restored, with the real az",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			return demo.Run(cmd.Context(), demo.Options{Binary: binary, Work: work, Out: env.Stdout})
		},
	}
	cmd.Flags().StringVar(&work, "work", "", "folder to work in, which is kept; default: a temporary one, removed")
	return cmd
}
