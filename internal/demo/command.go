package demo

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
)

// Command is `tintype demo`. It writes the story to out and stops when its context is cancelled.
func Command(out io.Writer) *cobra.Command {
	var work string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Snapshot a real disk while it is written, lose it, restore it, and prove every block",
		Long: "Makes a Debian disk image, imports it, keeps writing to it over NBD, takes a snapshot under that load with the\n" +
			"real az, deletes files, restores the snapshot, deletes the first disk, and compares every block of the restored\n" +
			"one with the writer's own log. Needs about 3 GB in the temporary folder, the network for Debian's packages, and\n" +
			"what `make deps` installs. Leaves nothing behind.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := haveTools(); err != nil {
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			return Run(cmd.Context(), Options{Binary: self, Work: work, Out: out})
		},
	}
	cmd.Flags().StringVar(&work, "work", "", "folder to work in and to leave everything in (default: a temporary one, removed)")
	return cmd
}

// haveTools looks for every program that the demonstration runs before it begins.
func haveTools() error {
	for _, tool := range []string{"mmdebstrap", "mke2fs", "debugfs", "e2fsck", "az", "nbdcopy", "cp"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed, or not on PATH: run `make demo`, which installs what is needed", tool)
		}
	}
	return nil
}
