import { useParams } from 'react-router-dom';

/** The project and the environment of the screen's address. Below the environment's routes both are always there. */
export function useEnvironmentParams(): { project: string; environment: string } {
  const { project = '', environment = '' } = useParams();
  return { project, environment };
}
