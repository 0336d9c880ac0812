package audit

import "encoding/json"

// The stored form of a text that is not UTF-8 is base64 under another name.
// These two hooks let encoding/json read and write it, for tools: the trail
// itself writes with encoder.

type sqlForm SQL

// MarshalJSON writes the stored form.
func (s SQL) MarshalJSON() ([]byte, error) { return appendSQL(nil, &s)[len(`,"sql":`):], nil }

// UnmarshalJSON reads the stored form.
func (s *SQL) UnmarshalJSON(data []byte) error {
	form := struct {
		*sqlForm
		Base64 []byte `json:"text_base64"`
	}{sqlForm: (*sqlForm)(s)}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	if form.Base64 != nil {
		s.Text = string(form.Base64)
	}
	return nil
}

type argForm Arg

// UnmarshalJSON reads the stored form.
func (a *Arg) UnmarshalJSON(data []byte) error {
	form := struct {
		*argForm
		Base64 []byte `json:"value_base64"`
	}{argForm: (*argForm)(a)}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	if form.Base64 != nil {
		a.Value = string(form.Base64)
	}
	return nil
}
