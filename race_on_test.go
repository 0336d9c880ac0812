//go:build race

package guardedpg_test

// raceDetector is whether the race detector is built in.
const raceDetector = true
