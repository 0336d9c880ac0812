package main

import (
	"fmt"
	"slices"
)

// quartiles of a set of figures.
type quartiles struct {
	Q1     float64 `json:"q1"`
	Median float64 `json:"median"`
	Q3     float64 `json:"q3"`
}

// quartilesOf interpolates linearly between the two nearest figures. It needs
// at least one.
func quartilesOf(figures []float64) quartiles {
	s := slices.Sorted(slices.Values(figures))
	at := func(q float64) float64 {
		pos := q * float64(len(s)-1)
		i := int(pos)
		if i+1 == len(s) {
			return s[i]
		}
		return s[i] + (pos-float64(i))*(s[i+1]-s[i])
	}
	return quartiles{at(0.25), at(0.5), at(0.75)}
}

// ratios compares round with round, since what slows one round of one
// contestant down mostly slows its neighbours down too.
func ratios(of, to []sample, figure func(sample) float64) quartiles {
	r := make([]float64, len(of))
	for i := range of {
		r[i] = figure(of[i]) / figure(to[i])
	}
	return quartilesOf(r)
}

func median(samples []sample, figure func(sample) float64) float64 {
	f := make([]float64, len(samples))
	for i, s := range samples {
		f[i] = figure(s)
	}
	return quartilesOf(f).Median
}

func (q quartiles) String() string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", q.Median, q.Q1, q.Q3)
}

func wall(s sample) float64   { return s.Wall }
func cpu(s sample) float64    { return s.CPU }
func allocs(s sample) float64 { return s.Allocs }
