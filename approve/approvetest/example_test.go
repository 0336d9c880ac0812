package approvetest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/guardedpg/guardedpg/approve/approvetest"
)

func ExampleFake() {
	var approver approvetest.Fake // rejects until it is told otherwise
	approver.Yes()
	r := approvetest.NewRequest("1")
	g, err := approver.Approve(context.Background(), r)
	fmt.Println(g.Check(r, time.Now()), err, len(approver.Requests()))
	// Output: <nil> <nil> 1
}
