// Package vhd reads raw images and virtual hard disks (fixed and dynamic VHD) as ranges of bytes, and makes and checks
// the footer that turns raw data into a fixed VHD.
//
// A fixed VHD is the disk's bytes followed by a footer of 512. A dynamic one has a table that says where each block of
// the disk lies in the file. Everything read from a file is bounded before it is used. Differencing VHDs are refused:
// their parent is a path chosen by whoever made the file.
package vhd
