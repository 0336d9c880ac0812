package main

import (
	"os"
	"time"
)

// probeDisk returns how long it takes to append a record of half a kilobyte to
// a file and have it on the disk, and the processor time of that on average, both
// in nanoseconds. An evidence that is durable before its statement runs cannot
// cost less.
func probeDisk(times int) (took quartiles, cpu float64, err error) {
	f, err := os.CreateTemp("", "guardedpg-bench-")
	if err != nil {
		return quartiles{}, 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	record := make([]byte, 512)
	each := make([]float64, times)
	before := clientCPU()
	for i := range each {
		begun := time.Now()
		if _, err := f.Write(record); err != nil {
			return quartiles{}, 0, err
		}
		if err := fdatasync(f); err != nil {
			return quartiles{}, 0, err
		}
		each[i] = float64(time.Since(begun))
	}
	return quartilesOf(each), float64(clientCPU()-before) / float64(times), nil
}
