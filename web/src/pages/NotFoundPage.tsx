import Button from '@mui/material/Button';
import Stack from '@mui/material/Stack';
import Typography from '@mui/material/Typography';
import { Link } from 'react-router-dom';
import { PageHeading } from '../components/PageHeading';

export function NotFoundPage() {
  return (
    <Stack spacing={1.5} sx={{ pt: { xs: 5, sm: 10 }, alignItems: 'center', textAlign: 'center' }}>
      <PageHeading title="Not found">There is nothing here</PageHeading>
      <Typography sx={{ color: 'text.secondary', maxWidth: 420 }}>
        The address may be mistyped, or what was here has been removed. Your projects are one step away.
      </Typography>
      <Button component={Link} to="/" variant="contained">
        Go to your projects
      </Button>
    </Stack>
  );
}
