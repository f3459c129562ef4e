-- Takes back what the migration of the same name made: users' claims are those of their login alone. Stop every
-- instance first. If the migrations before this one are to stay, run them again after it: the function that says which
-- version there is was replaced.

DROP FUNCTION IF EXISTS public.token_service_find_user_claims(jsonb);
NOTIFY pgrst, 'reload schema';
