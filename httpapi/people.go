package httpapi

import (
	"context"

	"github.com/keystone-auth/keystone/api"
	"github.com/keystone-auth/keystone/iam"
	"github.com/keystone-auth/keystone/login"
)

// target is the account that the path names, as the caller has seen it.
func (s *Server) target(ctx context.Context, x *exchange) (login.Target, error) {
	ref := x.param("id")
	t := login.Target{Ref: ref, By: x.by(), Origin: x.origin()}
	if !x.conditional() {
		return t, nil
	}
	user, err := s.Login.Person(ctx, ref)
	if err == nil {
		t.Version, err = x.ifMatch(user.ID)
	}
	return t, err
}

// by is the caller as somebody who changes accounts.
func (x *exchange) by() login.By {
	id, _ := x.caller.User()
	return login.By{Permissions: x.caller.Permissions(), User: id}
}

func (s *Server) getUser(ctx context.Context, x *exchange, _ nothing) (api.User, error) {
	user, err := s.Login.Person(ctx, x.param("id"))
	if err != nil {
		return api.User{}, err
	}
	return s.tellUser(x, user, 0)
}

// tellUser is the answer about one user, with the version that it shows.
func (s *Server) tellUser(x *exchange, user iam.User, index uint64) (api.User, error) {
	x.reflects(index)
	x.version(user.ID, user.Changed)
	return s.describeUser(user)
}

func (s *Server) updateUser(ctx context.Context, x *exchange, r api.UpdateUserRequest) (api.User, error) {
	t, err := s.target(ctx, x)
	if err != nil {
		return api.User{}, err
	}
	user, index, err := s.Login.UpdateUser(ctx, t, login.UserChange{
		Username: r.Username, Email: r.Email, FirstName: r.FirstName, LastName: r.LastName,
		DisplayName: r.DisplayName, Bio: r.Bio, Active: r.IsActive, Verified: r.IsVerified,
		Superuser: r.IsSuperuser, Roles: r.Roles,
	})
	if err != nil {
		return api.User{}, err
	}
	return s.tellUser(x, user, index)
}

func (s *Server) setRoles(ctx context.Context, x *exchange, r api.RolesRequest) (api.User, error) {
	if r.Roles == nil {
		return api.User{}, iam.Invalid("roles", "must be a list of names, which may be empty")
	}
	return s.updateUser(ctx, x, api.UpdateUserRequest{Roles: &r.Roles})
}

func (s *Server) deleteUser(ctx context.Context, x *exchange, _ nothing) (api.Message, error) {
	t, err := s.target(ctx, x)
	if err != nil {
		return api.Message{}, err
	}
	index, err := s.Login.DeleteUser(ctx, t)
	x.reflects(index)
	return api.Message{Message: "User deleted successfully"}, err
}

func (s *Server) unlockUser(ctx context.Context, x *exchange, _ nothing) (api.User, error) {
	user, index, err := s.Login.Unlock(ctx, login.Target{Ref: x.param("id"), By: x.by(), Origin: x.origin()})
	if err != nil {
		return api.User{}, err
	}
	return s.tellUser(x, user, index)
}

func (s *Server) lockDownUser(ctx context.Context, x *exchange, _ nothing) (api.SessionsEnded, error) {
	ended, index, err := s.Login.LockDown(ctx, login.Target{Ref: x.param("id"), By: x.by(), Origin: x.origin()})
	x.reflects(index)
	return api.SessionsEnded{Message: "User locked down successfully", SessionsTerminated: ended}, err
}

func (s *Server) setPassword(ctx context.Context, x *exchange, r api.SetPasswordRequest) (api.PasswordSet, error) {
	t, err := s.target(ctx, x)
	if err != nil {
		return api.PasswordSet{}, err
	}
	made, ended, index, err := s.Login.SetPassword(ctx, t, r.NewPassword)
	x.reflects(index)
	return api.PasswordSet{Message: "Password reset successfully", TemporaryPassword: made, SessionsTerminated: ended}, err
}

func (s *Server) userSessions(ctx context.Context, x *exchange, _ nothing) (api.Sessions, error) {
	user, err := s.Login.Person(ctx, x.param("id"))
	if err != nil {
		return api.Sessions{}, err
	}
	return s.sessionsOf(x, user.ID)
}

func (s *Server) endUserSessions(ctx context.Context, x *exchange, _ nothing) (api.SessionsEnded, error) {
	ended, index, err := s.Login.EndSessions(ctx, login.Target{Ref: x.param("id"), By: x.by(), Origin: x.origin()})
	x.reflects(index)
	return api.SessionsEnded{Message: "All sessions terminated successfully", SessionsTerminated: ended}, err
}

func (s *Server) updateProfile(ctx context.Context, x *exchange, r api.UpdateProfileRequest) (api.User, error) {
	id, _ := x.caller.User()
	version, err := x.ifMatch(id)
	if err != nil {
		return api.User{}, err
	}
	user, index, err := s.Login.UpdateProfile(ctx, login.Target{Ref: id.String(), Version: version, Origin: x.origin()}, login.UserChange{
		Email: r.Email, FirstName: r.FirstName, LastName: r.LastName, DisplayName: r.DisplayName, Bio: r.Bio,
	})
	if err != nil {
		return api.User{}, err
	}
	return s.tellUser(x, user, index)
}

func (s *Server) changePassword(ctx context.Context, x *exchange, r api.ChangePasswordRequest) (api.SessionsEnded, error) {
	id, _ := x.caller.User()
	ended, index, err := s.Login.ChangePassword(ctx, login.PasswordChange{
		User: id, Session: x.caller.Claims.SessionID, Current: r.CurrentPassword, New: r.NewPassword, Origin: x.origin(),
	})
	x.reflects(index)
	return api.SessionsEnded{Message: "Password changed successfully", SessionsTerminated: ended}, err
}

func (s *Server) requestReset(_ context.Context, x *exchange, r api.EmailRequest) (api.Message, error) {
	const done = "If an account has this e-mail address, a message with further steps is on its way to it"
	return api.Message{Message: done}, s.Login.RequestReset(x.origin(), r.Email)
}

func (s *Server) confirmReset(ctx context.Context, x *exchange, r api.ConfirmResetRequest) (api.Message, error) {
	index, err := s.Login.ConfirmReset(ctx, x.origin(), r.Token, r.NewPassword)
	x.reflects(index)
	return api.Message{Message: "Password reset successfully"}, err
}

func (s *Server) requestVerification(_ context.Context, x *exchange, r api.EmailRequest) (api.Message, error) {
	const done = "If an account has this e-mail address and it is not verified yet, a message is on its way to it"
	return api.Message{Message: done}, s.Login.RequestVerification(x.origin(), r.Email)
}

func (s *Server) confirmEmail(ctx context.Context, x *exchange, r api.ConfirmEmailRequest) (api.Message, error) {
	index, err := s.Login.ConfirmEmail(ctx, x.origin(), r.Token)
	x.reflects(index)
	return api.Message{Message: "E-mail address verified successfully"}, err
}
