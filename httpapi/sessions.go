package httpapi

import (
	"context"
	"slices"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/fsm"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/store"
)

// sessions lists the caller's own sessions, the newest first unless another order is asked for.
func (s *Server) sessions(_ context.Context, x *exchange, _ nothing) (api.Sessions, error) {
	user, _ := x.caller.User()
	return s.sessionsOf(x, user)
}

// sessionsOf lists a user's sessions as the query wants them.
func (s *Server) sessionsOf(x *exchange, user iam.ID) (api.Sessions, error) {
	query, err := x.list("created_at", "last_activity", "expires_at")
	if err != nil {
		return api.Sessions{}, err
	}
	var open []iam.Session
	if err := s.Store.View(func(r *store.Reader) error {
		open = r.SessionsOf(user, fsm.MaxSessions)
		return nil
	}); err != nil {
		return api.Sessions{}, err
	}
	now := iam.Now()
	open = slices.DeleteFunc(open, func(s iam.Session) bool { return s.ExpiresAt <= now || !query.finds(s.IP, s.UserAgent) })
	shown, about := cut(open, query, func(s iam.Session) place { return place{byTime(sessionTime(s, query.field)), s.ID} })
	current := iam.ID{}
	if x.caller.Claims != nil {
		current = x.caller.Claims.SessionID
	}
	out := api.Sessions{Sessions: make([]api.Session, 0, len(shown)), Page: about}
	for _, session := range shown {
		out.Sessions = append(out.Sessions, describeSession(session, current))
	}
	return out, nil
}

// sessionTime is the time by which a list of sessions is sorted.
func sessionTime(s iam.Session, field string) iam.Time {
	switch field {
	case "last_activity":
		return s.LastActivity
	case "expires_at":
		return s.ExpiresAt
	}
	return s.CreatedAt
}

func describeSession(s iam.Session, current iam.ID) api.Session {
	return api.Session{
		ID: s.ID.String(), IPAddress: s.IP, UserAgent: s.UserAgent,
		CreatedAt: s.CreatedAt.Std(), LastActivity: s.LastActivity.Std(), ExpiresAt: s.ExpiresAt.Std(),
		Current: s.ID == current,
	}
}

// endSession ends one of the caller's sessions. Another's is not found, like one that never was.
func (s *Server) endSession(ctx context.Context, x *exchange, _ nothing) (api.SessionsEnded, error) {
	missing := iam.Errorf(iam.NotFound, "There is no such session.")
	user, _ := x.caller.User()
	id, err := iam.ParseID(x.param("id"))
	if err != nil || id.IsZero() { // the zero id would mean all of them
		return api.SessionsEnded{}, missing
	}
	res, err := s.Proposer.Propose(ctx, x.origin(), &fsm.EndSessions{User: user, Session: id})
	if err != nil {
		return api.SessionsEnded{}, err
	}
	ended := 0
	if err := res.Decode(&ended); err != nil {
		return api.SessionsEnded{}, err
	}
	if ended == 0 {
		return api.SessionsEnded{}, missing
	}
	x.reflects(res.Index)
	return api.SessionsEnded{Message: "Session terminated successfully", SessionsTerminated: ended}, nil
}

// endSessions ends all of the caller's sessions, the present one included.
func (s *Server) endSessions(ctx context.Context, x *exchange, _ nothing) (api.SessionsEnded, error) {
	ended, index, err := s.OAuth.Logout(ctx, x.caller, true, x.origin())
	x.reflects(index)
	return api.SessionsEnded{Message: "All sessions terminated successfully", SessionsTerminated: ended}, err
}
