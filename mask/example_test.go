package mask_test

import (
	"fmt"

	"github.com/guardedpg/guardedpg/mask"
)

func Example() {
	text := mask.Type{OID: 25, Name: "text", Kind: 'b'}
	spec, err := mask.Decode(map[string]any{"partial": map[string]any{"last": 4}})
	if err != nil {
		panic(err)
	}
	m, err := spec.For(text, mask.Key{}) // only hash needs a key
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Mask("900-11-0001"))
	fmt.Println(m.Resembles("***0001") == mask.Certain)
	fmt.Println(spec.Derived())
	// Output:
	// ***0001
	// true
	// redact
}
